"""A fast choice of `make faults`: each is red at its own stage, says what and where, holds nothing; the next push passes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.__main__ import Result, cases, run
from faults.scene import Scene
from slipway_sandbox.project import Project

pytestmark = pytest.mark.alone

FAST = [case for case in cases() if case.fast]


class Made:
    """The fast cases, made as they are asked for: a time limit is for one group of them, not for all."""

    def __init__(self, results: Iterator[Result]) -> None:
        self._results = results
        self._made: dict[str, Result] = {}

    def __getitem__(self, name: str) -> Result:
        """Give what came of a case; those before it are made first, those at the gates side by side."""
        while name not in self._made:
            result = next(self._results, None)
            assert result is not None, f"{name} was not made: making the cases broke off at one before it"
            self._made[result.case.name] = result
        return self._made[name]


@pytest.fixture(scope="module")
def results(project: Project) -> Made:
    """Gives what came of each of the fast cases."""
    return Made(run(FAST, Scene(project), is_sparing=True))


@pytest.mark.parametrize("name", [case.name for case in FAST])
def test_fault_is_red_named_and_harmless(results: Made, name: str) -> None:
    assert not results[name].differences
    assert results[name].next_push.startswith("passed")
