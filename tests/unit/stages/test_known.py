"""What is known ends without its task; what must run has all that it needs."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import pytest

from slipway.release import given
from slipway.stages.known import KNOWN
from slipway.stages.stage import Run

TESTED = {"test.database", "test.integration", "test.removed"}
ATTACKED = {"scan.service", "scan.dynamic", "scan.removed"}


@pytest.mark.parametrize(
    ("runs", "fetched", "kept"),
    [
        ((), True, set()),
        ((), False, {"dependencies"}),  # the image is built of them, if the registry has none
        (("scan.sast",), True, {"dependencies", "scan.sast"}),
        (("test.integration",), True, {"dependencies", *TESTED}),
        (("scan.dynamic", "build.lint"), False, {"dependencies", "build.lint", *ATTACKED}),
    ],
)
def test_only_what_must_run_and_what_that_needs_is_left(
    run: Callable[..., Run],
    accepted: given.Accepted,
    workspace: given.Workspace,
    runs: Collection[str],
    fetched: bool,
    kept: set[str],
) -> None:
    asked: list[str] = []

    def conclude(gate: str) -> bool:
        asked.append(gate)
        return gate not in runs

    at = run(KNOWN, accepted, workspace.model_copy(update={"fetched": fetched}), conclude=conclude)
    skipped: Any = KNOWN.run(at)
    assert tuple(asked) == at.flow.gating
    before_the_gate = {one.task_id for one in at.flow.stages if one.group and one.group.gates} | {
        "dependencies"
    }
    assert before_the_gate - skipped == kept
    assert skipped <= before_the_gate


def test_all_gates_come_after_it(run: Callable[..., Run]) -> None:
    flow = run(KNOWN).flow
    assert all(KNOWN in flow.earlier(one) for one in flow.stages if one.gates)
