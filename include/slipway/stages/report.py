"""Report, always: the ledger's record, the commit's status at its forge (with plain git: a note on it), and an asset event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias

from slipway.ledger import Stage
from slipway.release import Outcome, Status, advice, decisive, fold, given
from slipway.stages import voice
from slipway.stages.accept import ACCEPT
from slipway.stages.health import HEALTH
from slipway.stages.rollback import ROLLBACK
from slipway.stages.stage import Group, Run, Step
from slipway.stages.stage import Stage as Stage_
from slipway.stages.verify import VERIFY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from slipway.catalog import Service
    from slipway.ledger import Ledger, Release

# what a task's state in Airflow says where it left no record of its own
_STATES = {
    "success": Outcome.PASSED,
    "skipped": Outcome.SKIPPED,
    "failed": Outcome.ERRORED,
    "removed": Outcome.CANCELLED,
}


def asset(service: Service) -> Asset:
    """Give the asset that an event is sent for when a release ends: other DAGs may be scheduled by it."""
    return Asset(name=f"release/{service.service}", uri=f"slipway://releases/{service.service}")


EVENT = (
    "environment",
    "commit",
    "status",
    "digest",
    "run_id",
    "config_revision",
    "schema_revision",
    "stage",
    "code",
)


def same(event: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Tell whether two events say the same: there is one for each environment, commit, digest and outcome."""
    return all(event[key] == sent.get(key) for key in ("environment", "commit", "digest", "status"))


def note(release: Release) -> str:
    """Give the text of the note on the commit."""
    lines = [
        f"slipway: {release.status}",
        f"service: {release.service}",
        f"environment: {release.environment}",
        f"run: {release.run_id}",
    ]
    if release.digest:
        lines.append(f"image: {release.image}@{release.digest}")
    known = {
        "superseded by": release.superseded_by,
        "rolled back to": release.rolled_back_to,
        "config": release.config_revision,
        "schema": release.schema_revision,
    }
    for name, value in known.items():
        if value:
            lines.append(f"{name}: {value}")
    if release.stage:
        lines += [
            f"stage: {release.stage}",
            *([f"code: {release.code}"] if release.code else []),
            "",
            *(release.reason or "").splitlines()[:20],
        ]
    steps = advice(release.service, release.commit, release.status, release.stage, release.superseded_by)
    lines += [f"How to go on: {step}" for step in steps]
    return "\n".join(lines) + "\n"


def ending(
    release: Release, stages: Sequence[Stage], *, watched: Collection[str], is_active: bool, is_cut: bool
) -> tuple[Status, str | None, str | None]:
    """Give how a release ended, at which stage, and why.

    :param stages: as they ended, in the DAG's own order.
    :param watched: the stages whose failure rolls back.
    :param is_active: whether it is what is deployed.
    :param is_cut: whether a task was not reached, since one before it went wrong.
    """
    outcomes, reasons = (
        {one.name: one.outcome for one in stages},
        {one.name: one.reason for one in stages},
    )
    status, worst = fold(outcomes, required=[HEALTH.task_id]), decisive(outcomes)
    if is_cut and status is Status.PASSED:
        status = Status.ERRORED
    undone = outcomes.get(ROLLBACK.task_id)
    if undone in (Outcome.FAILED, Outcome.ERRORED):
        more = f"not rolled back: {reasons.get(ROLLBACK.task_id)}" if worst != ROLLBACK.task_id else None
        return status, worst, _lines(reasons.get(worst or ""), more)
    # a person has gone back from it, or it was rolled back and is cleared: it stays so until it is deployed again
    if status is not Status.ROLLED_BACK and not (release.rolled_back_to and not is_active):
        return status, worst, reasons.get(worst or "")
    # where it failed matters more than where that was undone, or where a held commit was refused when it was cleared
    at = decisive({one: found for one, found in outcomes.items() if one in watched}) or decisive(
        {one: found for one, found in outcomes.items() if found is not Outcome.ROLLED_BACK}
    )
    if at is None:
        return Status.ROLLED_BACK, release.stage, release.reason
    to = reasons.get(ROLLBACK.task_id) if undone is Outcome.ROLLED_BACK else None
    return Status.ROLLED_BACK, at, _lines(reasons.get(at), to)


def _lines(*texts: str | None) -> str | None:
    return "\n".join(filter(None, texts)) or None


@dataclass(frozen=True)
class Story:
    """What there is to report.

    :param record: of the release; None if it was never opened.
    :param states: of the run's tasks, by Airflow's word.
    :param is_active: whether it is what is deployed.
    """

    record: Release | None
    states: Mapping[str, str]
    is_active: bool
    now: datetime
    watched: Collection[str]
    order: Sequence[str]


@dataclass(frozen=True)
class Verdict:
    """How a release ended.

    :param untold: stages of which Airflow knows more than the record.
    """

    status: Status
    stage: str | None
    reason: str | None
    code: str | None = None
    untold: tuple[Stage, ...] = ()


def untold(record: Release, states: Mapping[str, str], own: str, now: datetime) -> Iterator[Stage]:
    """Give the stages whose record does not say how their task ended: it was killed, or skipped before it began.

    :param own: id of the task that reports.
    """
    recorded = {one.name: one for one in record.stages}
    for name, state in sorted(states.items()):
        outcome = _STATES.get(state)
        if name == own or outcome is None:
            continue
        kept = recorded.get(name)
        agrees = kept is not None and (
            kept.outcome == outcome
            or (state == "failed" and kept.outcome in (Outcome.FAILED, Outcome.ERRORED))
            # it gave way; or it need not run, and another task has told its end
            or (
                state == "skipped" and kept.outcome in (Outcome.SUPERSEDED, Outcome.UNCHANGED, Outcome.PASSED)
            )
            or (
                state == "success" and kept.outcome in (Outcome.ROLLED_BACK, Outcome.SKIPPED)
            )  # a gate that is off
        )
        if not agrees:
            why = "the task ended without a word: it was killed" if state == "failed" else None
            yield Stage(name, outcome, 0.0, why, now, code="stage.killed" if why else None)


def read(run: Run) -> Story:
    """Ask Airflow how the tasks ended, and the ledger what they told."""
    ledger = run.world.ledger()
    record = ledger.record(run.run_id)
    active = ledger.active(run.service.service, record.environment) if record else None
    return Story(
        record,
        run.runs.task_states(run.service.dag_id, run.run_id),
        active is not None and active.run_id == run.run_id,
        run.world.now(),
        run.flow.rolling_back,
        run.flow.deciding,
    )


def decide(_service: Service, story: Story) -> Verdict:
    """Tell how the release ended: of several stages that failed side by side the first in the DAG's own order decides.

    One that does not compile has red lint and red tests, too.
    """
    if story.record is None:
        return Verdict(Status.ERRORED, ACCEPT.task_id, None)
    more = tuple(untold(story.record, story.states, REPORT.task_id, story.now))
    known = {one.name: one for one in (*story.record.stages, *more) if one.name != REPORT.task_id}
    order = story.order
    stages = sorted(known.values(), key=lambda one: order.index(one.name) if one.name in order else -1)
    status, worst, reason = ending(
        story.record,
        stages,
        watched=story.watched,
        is_active=story.is_active,
        is_cut="upstream_failed" in story.states.values(),
    )
    code = known[worst].code if worst in known else None
    return Verdict(status, worst, reason, code, more)


def act(run: Run, verdict: Verdict) -> given.Reported:
    """Put the end on record, as the commit's status or a note on it, and as an asset event."""
    told = given.Reported(status=verdict.status, stage=verdict.stage)
    ledger = run.world.ledger()
    if ledger.record(run.run_id) is None:
        print(
            f"no commit is known of {run.run_id}, so there is nothing to put a report on: see the task `accept`"
        )
        return told
    for one in verdict.untold:
        ledger.stage(run.run_id, one.name, one.outcome, one.seconds, one.reason, code=one.code)
    superseded = verdict.status is Status.SUPERSEDED
    newer = run.find(given.Yielded, of=verdict.stage) if superseded else None
    release = ledger.finish(
        run.run_id,
        verdict.status,
        reason=verdict.reason,
        stage=verdict.stage,
        superseded_by=newer.to if newer else None,
        code=verdict.code,
    )
    if run.service.source.forge is None:
        _note(run, release)
    voice.tell(run.world, run.service, release, _before(ledger, release) if run.service.notify else None)
    _tell(run, release)
    print(note(release))
    return told


def _before(ledger: Ledger, release: Release) -> Status | None:
    """Give how the release before this one ended: of those that began before it the newest that did something."""
    known = (one for one in ledger.releases(release.service, 20) if one.run_id != release.run_id)
    idle = (Status.SUPERSEDED, Status.UNCHANGED)
    earlier = (one for one in known if one.started_at < release.started_at and one.status not in idle)
    found = next(earlier, None)
    return found.status if found else None


def _note(run: Run, release: Release) -> None:
    try:
        repository = run.world.repository(run.service.source)
        written = repository.write_note(release.commit, note(release))
        print(f"note on {release.commit}: {'written' if written else 'there already'}")
    except Exception as e:
        if release.tree is not None:
            raise
        print(f"no note: {e}")  # no such commit: there is nothing a note could be put on


def _tell(run: Run, release: Release) -> None:
    """Send the asset's event, unless one that says the same was sent since the commit was first asked for."""
    shown = release.show()
    event = {key: shown[key] for key in EVENT}
    event["reason"] = next(iter((release.reason or "").splitlines()), None)
    since = run.world.ledger().first_request(release.service, release.commit).isoformat()
    inlet, outlet = asset(run.service), _alias(run.service)
    if any(same(event, sent.extra or {}) for sent in run.context["inlet_events"][inlet].after(since)):
        print("the asset's event has been sent already")
    else:
        run.context["outlet_events"][outlet].add(inlet, extra=event)


def _alias(service: Service) -> AssetAlias:
    return AssetAlias(f"release/{service.service}")


def _comes_before(one: Stage_ | Group, _service: Service) -> bool:
    """Tell what may still run when something has failed.

    Groups leave their teardowns out; image and deploy are chains that end in verify, and edges from each of them would only hide
    the graph.
    """
    return one.gates if isinstance(one, Group) else one.teardown


REPORT = Step(
    id="report",
    title="Report",
    after=(VERIFY, ROLLBACK),
    follows=_comes_before,
    asks=(given.Yielded,),
    gives=given.Reported,
    retries=6,
    ends=True,
    # an alias as outlet: whether there is an event is for the stage to say
    options=lambda service: {"inlets": [asset(service)], "outlets": [_alias(service)]},
    read=read,
    decide=decide,
    act=act,
)
