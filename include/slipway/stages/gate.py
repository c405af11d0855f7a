"""The gate before anything is published: every stage of this run must be on record as passed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed
from slipway.release import Outcome, given
from slipway.release.findings import OFF, policy_on
from slipway.stages.stage import Container, Group, Run, Stage, Step

if TYPE_CHECKING:
    from slipway.catalog import Service


@dataclass(frozen=True)
class Records:
    """What must have passed, and how it ended, by the ledger's word.

    :param off: those that the catalog has switched off, today.
    """

    required: Sequence[str]
    outcomes: Mapping[str, Outcome]
    off: Collection[str] = ()


def read(run: Run) -> Records:
    """Ask the ledger for the outcome of each gate."""
    release = run.world.ledger().record(run.run_id)
    today = run.world.now().date()
    off = {
        one.task_id
        for one in run.flow.stages
        if isinstance(one, Container) and one.rules and policy_on(one.rules(run.service), today) == OFF
    }
    outcomes = {one.name: one.outcome for one in release.stages} if release else {}
    return Records(run.flow.gating, outcomes, off)


def decide(_service: Service, records: Records) -> given.Gated:
    """Let pass what has passed every gate: no record is no pass, and none was skipped but what the catalog switches off.

    :raises PolicyFailed: naming each that has not.
    """
    missing = [
        f"{name}: {records.outcomes.get(name, 'no record')}"
        for name in records.required
        if records.outcomes.get(name) != Outcome.PASSED
        and not (name in records.off and records.outcomes.get(name) is Outcome.SKIPPED)
    ]
    if missing or not records.required:
        raise PolicyFailed(
            "not every gate passed",
            code="gate.not-all-passed",
            lines=missing,
            remedy="clear the tasks that are named, or push a fix",
        )
    passed = tuple(name for name in records.required if records.outcomes[name] is Outcome.PASSED)
    print(f"{len(passed)} gates passed: {', '.join(passed)}")
    if off := [name for name in records.required if name not in passed]:
        print(f"switched off in the catalog: {', '.join(off)}")
    return given.Gated(passed=passed)


def _gates(one: Stage | Group, _service: Service) -> bool:
    return isinstance(one, Group) and one.gates


GATE = Step(id="gate", title="All gates passed", follows=_gates, gives=given.Gated, read=read, decide=decide)
