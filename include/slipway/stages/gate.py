"""The gate before anything is published: every stage of this run must be on record as passed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed, Superseded
from slipway.release import Outcome, given
from slipway.release.findings import OFF, policy_on
from slipway.stages.known import KNOWN
from slipway.stages.queue import ended_for
from slipway.stages.stage import GOES_ON, Container, Group, Run, Stage, Step

if TYPE_CHECKING:
    from slipway.catalog import Service


@dataclass(frozen=True)
class Records:
    """What must have passed, and how it ended, by the ledger's word.

    :param off: those that the catalog has switched off, today.
    :param yielded: what says which run one of them gave way to; None if none did.
    """

    required: Sequence[str]
    outcomes: Mapping[str, Outcome]
    off: Collection[str] = ()
    yielded: Superseded | None = None


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
    return Records(run.flow.gating, outcomes, off, _yielded(run, outcomes))


def _yielded(run: Run, outcomes: Mapping[str, Outcome]) -> Superseded | None:
    for one in run.flow.gating:
        if outcomes.get(one) is Outcome.SUPERSEDED and (found := run.find(given.Yielded, of=one)):
            newer = run.world.ledger().record(found.to)
            return ended_for(found.to, newer.commit if newer else "unknown", "goes instead")
    return None


def decide(_service: Service, records: Records) -> given.Gated:
    """Let pass what has passed every gate: no record is no pass, and none was skipped but what the catalog switches off.

    What Airflow has skipped proves nothing: it skips what had passed already, and what gave way to a newer release.

    :raises PolicyFailed: naming each that has not. :raises Superseded: if one of them gave way.
    """
    if records.yielded:
        raise records.yielded
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


GATE = Step(
    id="gate",
    title="All gates passed",
    after=(KNOWN,),
    follows=_gates,
    asks=(given.Yielded,),
    gives=given.Gated,
    trigger_rule=GOES_ON,  # a gate that need not run is skipped; see decide for what else is
    read=read,
    decide=decide,
)
