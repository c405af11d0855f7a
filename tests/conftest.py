"""Marks every test by its folder; `pytest -m unit` needs nothing but Python."""

from pathlib import Path

import pytest
from hypothesis import settings

# No deadline: how long an example takes says how busy the machine is.
settings.register_profile("slipway", deadline=None, print_blob=True)
settings.load_profile("slipway")

KINDS = ("unit", "integration", "e2e")
GROUPED = ("integration", "e2e")
SPLIT = ("toolboxes",)
"""Folders of integration tests of which each file is a group; the files of any other share what they look at."""
LIMITS_S = {"unit": 20, "integration": 300, "e2e": 1_200}


@pytest.hookimpl(tryfirst=True)  # before xdist puts a test's group into its id
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        kind, *folders = item.path.relative_to(here).parts if item.path.is_relative_to(here) else ("",)
        if kind in KINDS:
            item.add_marker(getattr(pytest.mark, kind))
            if not item.get_closest_marker("timeout"):
                item.add_marker(pytest.mark.timeout(LIMITS_S[kind]))
        if kind in GROUPED and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(_group(kind, folders)))


def _group(kind: str, path: list[str]) -> str:
    """Give the group of a test: within one, tests run one after the other; groups run side by side."""
    if kind == "e2e":
        return "ai-generation"
    return "/".join(path if path[0] in SPLIT else path[:1])
