"""Everything of a deployment happens in the lane, and what changes anything after the plan."""

from __future__ import annotations

from slipway.catalog import Service
from slipway.stages.deploy import DEPLOY
from slipway.stages.lane import LANE
from slipway.stages.plan import PLAN
from slipway.stages.sequence import release_of
from slipway.stages.stage import Pod


def test_lane_is_taken_before_and_nothing_changes_before_the_plan(service: Service) -> None:
    order = release_of(service)
    stages = [one for one in order.stages if one.group is DEPLOY]
    assert len(stages) > 8
    for one in stages:
        assert LANE in order.earlier(one)
        asks = isinstance(one, Pod) and one.id in ("pending", "infra_check")
        if one.holds_lane and not asks:
            assert PLAN in order.earlier(one), one.task_id
