"""Health that holds: pods, readiness and the released commit, at every look for as long as the catalog says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.release import given
from slipway.stages.sensor import Waits
from slipway.stages.smoke import SMOKE
from slipway.stages.stage import Run, Watch, Well, always
from slipway.stages.verify import VERIFY
from slipway.stages.verify import look as look_once

if TYPE_CHECKING:
    from slipway.adapters.cluster import Rollout
    from slipway.catalog import Service


def look(run: Run) -> tuple[Rollout, Waits | None]:
    """Look once, and give what the service lacks."""
    commit, digest = run.take(given.Accepted).commit, run.take(given.Pushed).digest
    return look_once(run.world.cluster(), run.service, digest, commit)


def judge(_service: Service, seen: tuple[Rollout, Waits | None]) -> Waits | Well:
    """Give what it lacks, or the pods that serve."""
    state, lacks = seen
    return lacks or Well(
        given.Healthy(pods=state.pods, image_ids=state.image_ids), f"healthy: {state.message}"
    )


HEALTH = Watch(
    id="health",
    title="Healthy",
    group=VERIFY,
    after=(SMOKE,),
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
