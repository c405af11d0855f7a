"""A fast choice of `make faults`: each is red at its own stage, says what and where, holds nothing; the next push passes."""

from __future__ import annotations

import pytest

from slipway_sandbox.faults.__main__ import Result, cases, run
from slipway_sandbox.faults.scene import Scene
from slipway_sandbox.project import Project

FAST = [case for case in cases() if case.fast]


@pytest.fixture(scope="module")
def results(project: Project) -> dict[str, Result]:
    """Gives what came of each of the fast cases; those at the gates are pushed side by side."""
    return {result.case.name: result for result in run(FAST, Scene(project))}


@pytest.mark.parametrize("name", [case.name for case in FAST])
def test_fault_is_red_named_and_harmless(results: dict[str, Result], name: str) -> None:
    assert not results[name].differences
    assert results[name].next_push.startswith("passed")
