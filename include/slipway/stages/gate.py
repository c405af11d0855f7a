"""The gate before anything is published: every stage of this run must be on record as passed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed
from slipway.release import Outcome, given
from slipway.stages.stage import Group, Run, Stage, Step

if TYPE_CHECKING:
    from slipway.catalog import Service


@dataclass(frozen=True)
class Records:
    """What must have passed, and how it ended, by the ledger's word."""

    required: Sequence[str]
    outcomes: Mapping[str, Outcome]


def read(run: Run) -> Records:
    """Ask the ledger for the outcome of each gate."""
    release = run.world.ledger().record(run.run_id)
    return Records(run.flow.gating, {one.name: one.outcome for one in release.stages} if release else {})


def decide(_service: Service, records: Records) -> given.Gated:
    """Let pass what has passed every gate: no record is no pass.

    :raises PolicyFailed: naming each that has not.
    """
    missing = [
        f"{name}: {records.outcomes.get(name, 'no record')}"
        for name in records.required
        if records.outcomes.get(name) != Outcome.PASSED
    ]
    if missing or not records.required:
        raise PolicyFailed(
            "not every gate passed",
            code="gate.not-all-passed",
            lines=missing,
            remedy="clear the tasks that are named, or push a fix",
        )
    print(f"{len(records.required)} gates passed: {', '.join(records.required)}")
    return given.Gated(passed=tuple(records.required))


def _gates(one: Stage | Group, _service: Service) -> bool:
    return isinstance(one, Group) and one.gates


GATE = Step(id="gate", title="All gates passed", follows=_gates, gives=given.Gated, read=read, decide=decide)
