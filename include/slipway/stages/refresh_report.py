"""What the nightly refresh reports, always: of each service, of what was cleaned up; and the verdict, which is red if any is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, get_current_context

from slipway.errors import Permanent, PolicyFailed
from slipway.ledger import refreshes
from slipway.release import Outcome, Status, given
from slipway.release import refresh as decide
from slipway.stages import connections, xcom
from slipway.stages.outcome import stage

if TYPE_CHECKING:
    from slipway.ledger import Ledger

ASSET = Asset(name="refresh/staging", uri="slipway://refresh/staging")
"""Has an event for each refresh, with how it ended: other DAGs may be scheduled by it."""


def _id(service: str, kind: type[given.Given]) -> str:
    """Give the id of the task in a service's group that gives something."""
    return f"{service}.{kind.by}"


def report(services: Sequence[str], cleaned: Sequence[str]) -> Any:
    """Give the task that always tells what was done: in its log, in the ledger, as an asset event.

    :param services: groups of the services. :param cleaned: ids of the tasks that clean up.
    """

    @stage(task_id="report", task_display_name="Report", trigger_rule="all_done", outlets=[ASSET], retries=6)
    def report() -> given.Refreshed:
        context = get_current_context()
        ti: Any = context["ti"]
        ledger, environment = connections.ledger(), connections.platform().environment
        started = refreshes.begin(ledger, ti.run_id, environment)
        crumbs = {one["task_id"]: one for one in ti.get_task_breadcrumbs(ti.dag_id, ti.run_id)}
        of_services = [_service(ti, name, crumbs, ledger) for name in services]
        parts = [_part(ti, one, crumbs) for one in cleaned]
        told: dict[str, Any] = {
            "run_id": ti.run_id,
            "environment": environment,
            "status": str(decide.fold_outcomes(Outcome(one["outcome"]) for one in (*of_services, *parts))),
            "started_at": started.isoformat(),
            "services": of_services,
            "cleaned": parts,
        }
        refreshes.finish(ledger, ti.run_id, told["status"], told)
        print("\n".join(decide.table(told)))
        context["outlet_events"][ASSET].extra = {
            "run_id": ti.run_id,
            "status": told["status"],
            "services": {one["name"]: one["outcome"] for one in told["services"]},
        }
        return given.Refreshed(status=told["status"], headline=decide.headline(told))

    return report()


def _ended(ti: Any, task_id: str, crumb: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Give outcome and reason of a task that has ended."""
    kept = xcom.find(ti, given.Ended, of=task_id)
    state = str(crumb["state"])
    if state == "success":
        return Outcome.PASSED, ""
    if state == "skipped":
        return Outcome.SKIPPED, (kept and kept.reason) or ""
    if kept and kept.outcome in (Outcome.FAILED, Outcome.ERRORED):
        return Outcome(kept.outcome), kept.reason or ""
    return Outcome.ERRORED, f"{task_id} ended without a word: it was killed, or took too long"


def _service(ti: Any, name: str, crumbs: Mapping[str, Mapping[str, Any]], ledger: Ledger) -> dict[str, Any]:
    own = {task: crumb for task, crumb in crumbs.items() if task.startswith(f"{name}.")}
    ends = {
        task: _ended(ti, task, crumb) for task, crumb in own.items() if crumb["state"] != "upstream_failed"
    }
    looked = xcom.find(ti, given.Looked, of=_id(name, given.Looked))
    drifted = xcom.find(ti, given.Repaired, of=_id(name, given.Repaired)) or given.Repaired()
    released = xcom.find(ti, given.ReleasedAgain, of=_id(name, given.ReleasedAgain))
    bad = {task: end for task, end in ends.items() if end[0] in (Outcome.FAILED, Outcome.ERRORED)}
    skipped = ends.get(_id(name, given.Looked), (Outcome.ERRORED, ""))
    found = [*(looked.found if looked else ()), *drifted.found]
    outcome, reason = Outcome.PASSED, ""
    if bad:
        outcome = Outcome(decide.fold_outcomes(end[0] for end in bad.values()).value)
        reason = "\n".join(why for _, why in bad.values())
    elif skipped[0] is not Outcome.PASSED:
        outcome, reason = skipped
        reason = reason or "it was not looked at"
    elif not found:
        found = ["as released, made with tonight's images, no known vulnerability, healthy"]
    took = sum(crumb["duration"] or 0.0 for crumb in own.values())
    release = ledger.record(looked.release) if looked and looked.release else None
    if release and release.finished_at:
        took += (release.finished_at - release.started_at).total_seconds()
    return {
        "name": name,
        "run_id": looked and looked.run_id,
        "commit": looked and looked.commit,
        "outcome": str(outcome),
        "found": found,
        "done": [*(released.said if released else ()), *drifted.done],
        "reason": reason,
        "release": looked and looked.release,
        "differences": list(drifted.differences),
        "seconds": round(took, 1),
    }


def _part(ti: Any, task_id: str, crumbs: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    crumb = crumbs.get(task_id) or {"state": "missing", "duration": 0.0}
    outcome, reason = _ended(ti, task_id, crumb)
    told = xcom.find(ti, given.Cleaned, of=task_id) or given.Cleaned()
    return {
        "name": task_id.rpartition(".")[2],
        "outcome": str(outcome),
        "rows": list(told.rows),
        "notes": list(told.notes),
        "reason": reason,
        "seconds": round(crumb["duration"] or 0.0, 1),
    }


def verdict() -> Any:
    """Give the last task, which is red if anything was: the report itself is always made, and so is green."""

    @stage(task_id="verdict", task_display_name="All is well")
    def verdict() -> str:
        told = xcom.take(get_current_context()["ti"], given.Refreshed)
        if told.status != Status.PASSED:
            kind = PolicyFailed if told.status == Status.FAILED else Permanent
            raise kind(
                told.headline, code="refresh.fell-short", remedy="`slipway refresh show` has the whole report"
            )
        print(told.headline)
        return told.headline

    return verdict()
