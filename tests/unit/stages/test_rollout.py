"""The rollout is complete when all pods run our digest; what keeps them decides whose fault it is if they stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slipway.adapters.cluster import Cause, Obstacle, Rollout
from slipway.errors import Permanent, PolicyFailed
from slipway.release import given
from slipway.stages.rollout import ROLLOUT
from slipway.stages.sensor import Waits
from slipway.stages.stage import Run, Well

FULL = Obstacle(
    Cause.UNSCHEDULABLE, "Unschedulable: 0/3 nodes", "p", Cause.UNSCHEDULABLE.whose, is_final=False
)


def test_complete_rollout_gives_the_pods_that_serve(
    run: Callable[..., Run], world: Any, pushed: given.Pushed
) -> None:
    found = ROLLOUT.once(run(ROLLOUT, pushed))
    assert found == Well(given.RolledOut(pods=("p",), image_ids=("i",)), "2 pods run it")
    assert world.did == [("rollout", "sha256:new")]


def test_incomplete_one_waits_and_says_whose_fault_it_is(
    run: Callable[..., Run], world: Any, pushed: given.Pushed
) -> None:
    world.of_cluster.state = Rollout(False, "1 of 2 pods")
    found = ROLLOUT.once(run(ROLLOUT, pushed))
    assert isinstance(found, Waits)
    assert isinstance(found.over("deploy.rollout", 60), PolicyFailed)
    world.of_cluster.state = Rollout(False, str(FULL), obstacle=FULL)
    found = ROLLOUT.once(run(ROLLOUT, pushed))
    assert isinstance(found, Waits)
    assert isinstance(found.over("deploy.rollout", 60), Permanent)
