"""Health that holds: pods, readiness and the released commit, at every look for as long as the catalog says.

Beside the smoke test, since each takes seconds. Where that has failed there is nothing to wait for any more: something else is
about to serve.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.release import Outcome, given
from slipway.stages.sensor import Left, Waits
from slipway.stages.stage import Run, Watch, Well, always
from slipway.stages.verify import VERIFY
from slipway.stages.verify import look as look_once

if TYPE_CHECKING:
    from slipway.adapters.cluster import Rollout
    from slipway.catalog import Service


def look(run: Run) -> tuple[Rollout, Waits | None] | Left:
    """Look once, and give what the service lacks."""
    if failed := _failed_beside(run):
        return Left(f"{failed} has failed, so that another release is about to serve")
    commit, digest = run.take(given.Accepted).commit, run.take(given.Pushed).digest
    return look_once(run.world.cluster(), run.service, digest, commit)


def _failed_beside(run: Run) -> str | None:
    outcomes = {one.name: one.outcome for one in run.record().stages}
    failed = [one for one in run.flow.rolling_back if outcomes.get(one) is Outcome.FAILED]
    # a record may be of an earlier try: what was cleared since is at work again
    states = run.runs.task_states(run.service.dag_id, run.run_id) if failed else {}
    return next((one for one in failed if states.get(one) == "failed"), None)


def judge(_service: Service, seen: tuple[Rollout, Waits | None] | Left) -> Waits | Well | Left:
    """Give what it lacks, or the pods that serve."""
    if isinstance(seen, Left):
        return seen
    state, lacks = seen
    return lacks or Well(
        given.Healthy(pods=state.pods, image_ids=state.image_ids), f"healthy: {state.message}"
    )


HEALTH = Watch(
    id="health",
    title="Healthy",
    group=VERIFY,
    needs=(given.Accepted, given.Pushed),
    gives=given.Healthy,
    timeout_s=lambda service: service.verify.health.timeout_s,
    soak_s=lambda service: service.verify.health.soak_s,
    look_s=0.3,
    rolls_back=always,
    holds_lane=True,
    look=look,
    judge=judge,
)
