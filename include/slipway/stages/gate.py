"""The gate before anything is published: every stage of this run must be on record as passed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import get_current_context

from slipway.errors import PolicyFailed
from slipway.release import Outcome, given
from slipway.stages import connections
from slipway.stages.outcome import stage


def gate(required: Sequence[str]) -> Any:
    """Give the task that asks the ledger for the outcome of each required stage: no record is no pass."""

    @stage(task_id="gate", task_display_name="All gates passed")
    def gate() -> given.Gated:
        release = connections.ledger().record(get_current_context()["dag_run"].run_id)
        outcomes = {one.name: one.outcome for one in release.stages} if release else {}
        missing = [
            f"{name}: {outcomes.get(name, 'no record')}"
            for name in required
            if outcomes.get(name) != Outcome.PASSED
        ]
        if missing:
            raise PolicyFailed(
                "not every gate passed",
                code="gate.not-all-passed",
                lines=missing,
                remedy="clear the tasks that are named, or push a fix",
            )
        print(f"{len(required)} gates passed: {', '.join(required)}")
        return given.Gated(passed=required)

    return gate()
