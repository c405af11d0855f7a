"""Accept a push: which commit of which branch is released, and with which toolboxes. Everything after only reads this."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from slipway.errors import PolicyFailed, Superseded, Transient, Unchanged
from slipway.ledger import wishes
from slipway.release import Status, given
from slipway.release.gates import SCANNER
from slipway.release.refresh import BASE
from slipway.stages import connections, queue, voice
from slipway.stages.lanes import refuse_held
from slipway.stages.outcome import stage
from slipway.stages.stage import Made

if TYPE_CHECKING:
    from slipway.adapters.git import Repository
    from slipway.catalog import Platform, Service
    from slipway.ledger import Ledger


def accept(service: Service) -> Any:
    """Give the task that resolves the run's parameters and opens the release in the ledger."""

    @stage(task_id="accept", task_display_name="Accept the push")
    def accept() -> given.Accepted:
        return accepted(get_current_context(), service)

    return accept()


def accepted(context: Any, service: Service) -> given.Accepted:
    """Open the release in the ledger, and give what is released.

    :raises PolicyFailed: if ref or commit are not released, or are held. :raises Superseded: if a newer one goes instead.
    """
    run, platform = context["dag_run"], connections.platform()
    branch = service.source.branch
    ref = context["params"].get("ref") or f"refs/heads/{branch}"
    commit = opened(context, service, ref)
    print(f"Releasing {service.service} {commit} ({ref}) to {platform.environment}")
    if ref != f"refs/heads/{branch}":
        raise PolicyFailed(
            f"{ref} is not released: {service.service} releases refs/heads/{branch} only",
            code="source.branch-not-released",
            remedy="push to that branch, or change `source.branch` in the catalog",
        )
    refuse_held(service.service, platform.environment, commit)
    if by := queue.newer(context):
        raise queue.superseded(by)
    repository = connections.repository(service.source)
    if not repository.on_branch(commit, branch):
        give_way_to_newer(connections.ledger(), run.run_id, commit, branch)
        raise PolicyFailed(
            f"{commit} is not on branch {branch} of {repository.url}",
            code="source.not-on-branch",
            remedy=f"push it to {branch}; if a forced push took it away, release what is there now",
        )
    if before := unchanged_since(context, service, repository, commit):
        raise Unchanged(
            f"{' and '.join(service.source.counting)}: as in {before}, which is deployed",
            code="release.unchanged",
            remedy="nothing; to release this commit all the same: `slipway release SERVICE COMMIT --again --fresh`",
        )
    bases = _bases(platform)
    images = {**platform.images, BASE: bases.pop(BASE), SCANNER: _scanner(platform)}
    connections.ledger().update(run.run_id, images=images)  # by which advisories it is judged
    if service.source.forge and (record := connections.ledger().record(run.run_id)):
        voice.tell(connections.Outside(), service, record)
    return given.Accepted(
        service=service.service,
        commit=commit,
        ref=ref,
        images=images,
        advisories_max_age_days=platform.advisories.max_age_days,
        advisories_of=platform.advisories.of,
        bases=bases,
    )


def _scanner(platform: Platform) -> str:
    from slipway.stages.advisories import scanner  # a DAG that is parsed needs none of it

    return scanner(platform, lambda: connections.registry()[0])


def _bases(platform: Platform) -> dict[str, str]:
    from slipway.stages.renewal import tonight  # likewise

    return tonight(platform, lambda: connections.registry()[0])


def unchanged_since(context: Any, service: Service, repository: Repository, commit: str) -> str | None:
    """Give the commit that is deployed and has the same at the paths that count; None if this one is to be released.

    Where another release of the service is on its way, each goes as it would: which of them is deployed last is not known yet.
    """
    counting, run, ledger = service.source.counting, context["dag_run"], connections.ledger()
    if not counting or context["params"].get("fresh"):
        return None
    active = ledger.active(service.service, connections.platform().environment)
    if (
        active is None
        or active.status is not Status.PASSED
        or active.commit == commit
        or active.catalog != service.revision
    ):
        return None
    _, others = ledger.queued(run.run_id)
    if any(one.may_go and not one.deployed for one in others):
        return None
    there = repository.objects(commit, counting)
    return active.commit if there == repository.objects(active.commit, counting) else None


def opened(context: Any, service: Service, ref: str) -> str:
    """Record that the release begins, before anything can refuse it, and give its commit."""
    params, run = context["params"], context["dag_run"]
    platform, ledger = connections.platform(), connections.ledger()
    # a cleared run stays with its commit, though the branch may have moved on
    known = ledger.record(run.run_id)
    commit: str = params.get("commit") or (
        known.commit if known else connections.repository(service.source).head(service.source.branch)
    )
    # first, so that a refusal is on record, too, and so is that git or Vault could not be asked
    if known is None or _goes_on(context):
        ledger.begin(
            service.service,
            platform.environment,
            commit,
            run.run_id,
            ref,
            requested_at=run.run_after,
            is_head=not params.get("commit"),
            catalog=service.revision,
        )
    ledger.update(run.run_id, images=dict(platform.images))
    return commit


def give_way_to_newer(ledger: Ledger, run_id: str, commit: str, branch: str) -> None:
    """End a release whose commit a forced push has taken off the branch while it waited, if that push was asked for, too.

    :raises Superseded: naming the newest. :raises Transient: if that has not begun.
    """
    if newer := max(ledger.newer(run_id), key=lambda one: (one.requested_at, one.run_id), default=None):
        raise Superseded(
            f"superseded by {newer.run_id}: {branch} was moved, and commit {commit} is not on it any more",
            code="release.superseded-by-move",
            by=newer.run_id,
            remedy="nothing",
        )
    if wish := wishes.newer(ledger, run_id):
        raise Transient(
            f"commit {commit} is not on {branch} any more, and {wish}, which was asked for since, has not begun",
            code="release.newer-not-begun",
            remedy="see that run in Airflow; then clear this task",
        )


def _goes_on(context: Any) -> bool:
    """Tell whether the report is still to come: of a run of which this task alone was cleared, the record has ended."""
    ti = context["ti"]
    states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
    return str(states.get("report")) not in ("success", "failed")


ACCEPT = Made(
    id="accept",
    title="Accept the push",
    gives=given.Accepted,
    make=lambda service, _flow, **_task: accept(service).operator,
)
