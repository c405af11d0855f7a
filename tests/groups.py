"""Which tests run one after the other because they share what they look at; such groups run side by side."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

SPLIT = ("toolboxes",)
"""Folders of integration tests of which each file is a group; the files of any other are one together."""
SERVICES = dict.fromkeys(("test_flyway.py", "test_forge.py", "test_stacks.py"), "prompt-library")
"""Files of end-to-end tests that release other services than the example `ai-generation`, and whose group they are of."""


def group(path: str) -> str:
    """Give the group of a file of tests.

    :param path: of the file, from the folder of all tests on: `integration/ledger/test_lanes.py`.
    """
    kind, *folders = PurePosixPath(path).parts
    if kind == "e2e":
        return SERVICES.get(folders[-1], "ai-generation")
    if kind == "integration":
        return "/".join(folders if folders[0] in SPLIT else folders[:1])
    return path


class Groups(LoadScopeScheduling):
    """Gives a worker a whole group at once.

    Not by xdist's own `loadgroup`: with pytest 9.2 it deals grouped tests out one by one, and says nothing
    (pytest-dev/pytest-xdist#1386).
    """

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid.partition("::")[0].removeprefix("tests/"))
