"""Rollout: every serving pod runs our digest and is available; or it is said what keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.release import given
from slipway.stages.apply import APPLY
from slipway.stages.deploy import DEPLOY
from slipway.stages.sensor import Waits, on_rollout
from slipway.stages.stage import Run, Watch, Well, always

if TYPE_CHECKING:
    from slipway.adapters.cluster import Rollout
    from slipway.catalog import Service


def look(run: Run) -> Rollout:
    """Look once how far the rollout is.

    :raises SlipwayError: if it has come to an end that no wait changes.
    """
    plan, digest = run.service.deploy, run.take(given.Pushed).digest
    cluster = run.world.cluster()
    return cluster.rollout(plan.namespace, plan.deployment, digest, timeout_s=plan.rollout.timeout_s)


def judge(_service: Service, state: Rollout) -> Waits | Well:
    """Give what it waits for, or the pods that serve."""
    if not state.complete:
        return on_rollout(state)
    return Well(given.RolledOut(pods=state.pods, image_ids=state.image_ids), state.message)


ROLLOUT = Watch(
    id="rollout",
    title="Rollout",
    group=DEPLOY,
    after=(APPLY,),
    needs=(given.Pushed,),
    gives=given.RolledOut,
    timeout_s=lambda service: service.deploy.rollout.timeout_s,
    rolls_back=always,
    holds_lane=True,
    look=look,
    judge=judge,
)
