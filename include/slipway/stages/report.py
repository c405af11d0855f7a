"""Report, always: the ledger's record, a note on the commit (plain git's commit status), and an asset event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, get_current_context

from slipway.release import Outcome, Status, advice, decisive, fold, given
from slipway.stages import connections, xcom
from slipway.stages.outcome import stage

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from slipway.catalog import Service
    from slipway.ledger import Release, Stage

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


EVENT = ("environment", "commit", "status", "digest", "run_id", "config_revision", "schema_revision", "stage")


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
        lines += [f"stage: {release.stage}", "", *(release.reason or "").splitlines()[:20]]
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
    status, worst = fold(outcomes, required=["verify.health"]), decisive(outcomes)
    if is_cut and status is Status.PASSED:
        status = Status.ERRORED
    undone = outcomes.get("rollback")
    if undone in (Outcome.FAILED, Outcome.ERRORED):
        more = f"not rolled back: {reasons.get('rollback')}" if worst != "rollback" else None
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
    to = reasons.get("rollback") if undone is Outcome.ROLLED_BACK else None
    return Status.ROLLED_BACK, at, _lines(reasons.get(at), to)


def _lines(*texts: str | None) -> str | None:
    return "\n".join(filter(None, texts)) or None


def deciding_order(tasks: Mapping[str, Any]) -> list[str]:
    """Give the tasks' names in the DAG's own order, those that only give back what was taken last."""
    return sorted(tasks, key=lambda name: tasks[name].is_teardown)


def report(service: Service) -> Any:
    """Give the teardown task that reports. It never turns a failed run green: Airflow leaves teardowns out of account."""
    told, outlet = asset(service), AssetAlias(f"release/{service.service}")

    @stage(
        task_id="report",
        task_display_name="Report",
        trigger_rule="all_done_setup_success",
        inlets=[told],
        outlets=[outlet],  # an alias: whether there is an event is for the task to say
        retries=6,
    )
    def report() -> given.Reported:
        context = get_current_context()
        ti, ledger = context["ti"], connections.ledger()
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
        opened = ledger.record(ti.run_id)
        if opened is None:
            print(
                f"no commit is known of {ti.run_id}, so there is nothing to put a report on: see the task `accept`"
            )
            return given.Reported(status=Status.ERRORED, stage="accept")
        recorded = {one.name: one for one in opened.stages}
        for name, state in sorted(states.items()):
            outcome = _STATES.get(str(state))
            if name == ti.task_id or outcome is None:
                continue
            kept = recorded.get(name)
            agrees = kept is not None and (
                kept.outcome == outcome
                or (state == "failed" and kept.outcome in (Outcome.FAILED, Outcome.ERRORED))
                or (state == "skipped" and kept.outcome is Outcome.SUPERSEDED)
                or (state == "success" and kept.outcome is Outcome.ROLLED_BACK)
            )
            if not agrees:
                why = "the task ended without a word: it was killed" if state == "failed" else None
                ledger.stage(ti.run_id, name, outcome, 0.0, why)
        opened = ledger.record(ti.run_id)
        assert opened is not None
        # of several that failed side by side the first in the DAG's own order decides: one that does not compile has
        # red lint and red tests, too
        order = deciding_order(context["dag"].task_dict)
        stages = sorted(opened.stages, key=lambda one: order.index(one.name) if one.name in order else -1)
        active = ledger.active(service.service, opened.environment)
        status, worst, reason = ending(
            opened,
            [one for one in stages if one.name != ti.task_id],
            watched=context["dag"].get_task("rollback").upstream_task_ids,
            is_active=active is not None and active.run_id == ti.run_id,
            is_cut=any(state == "upstream_failed" for state in states.values()),
        )
        to = xcom.find(ti, given.Yielded, of=worst) if status is Status.SUPERSEDED else None
        release = ledger.finish(
            ti.run_id, status, reason=reason, stage=worst, superseded_by=to.to if to else None
        )
        shown = release.show()
        try:
            repository = connections.repository(service.source)
            written = repository.write_note(release.commit, note(release))
            print(f"note on {release.commit}: {'written' if written else 'there already'}")
        except Exception as e:
            if opened.tree is None:  # no such commit: there is nothing a note could be put on
                print(f"no note: {e}")
            else:
                raise
        event = {key: shown[key] for key in EVENT}
        event["reason"] = next(iter((release.reason or "").splitlines()), None)
        since = ledger.first_request(release.service, release.commit).isoformat()
        if any(same(event, sent.extra or {}) for sent in context["inlet_events"][told].after(since)):
            print("the asset's event has been sent already")
        else:
            context["outlet_events"][outlet].add(told, extra=event)
        print(note(release))
        return given.Reported(status=status, stage=worst)

    return report()
