"""The database is asked before the plan, by the migrations toolbox, if the service has migrations."""

from __future__ import annotations

from collections.abc import Callable

from slipway.catalog import Service
from slipway.stages.gate import GATE
from slipway.stages.lane import LANE
from slipway.stages.pending import ASKED, PENDING
from slipway.stages.plan import PLAN
from slipway.stages.sequence import release_of


def test_it_is_asked_before_the_plan_and_changes_nothing(
    service: Service, changed: Callable[..., Service]
) -> None:
    order = release_of(service)
    assert PENDING in order.earlier(PLAN)
    operator = PENDING.operator(service, order)
    command = operator.manifest["spec"]["containers"][0]["command"]  # type: ignore[attr-defined]
    assert command[4:6] == ["slipway-migrations", "status"]
    assert not PENDING.wanted(changed("deploy", migrations=None))
    assert not PENDING.rolls_back(service)


def test_it_is_asked_ahead_beside_the_image_and_without_the_lane(
    service: Service, changed: Callable[..., Service]
) -> None:
    order = release_of(service)
    assert GATE in order.earlier(ASKED)
    assert LANE not in order.earlier(ASKED)
    assert ASKED in order.earlier(PENDING)
    assert not ASKED.holds_lane
    assert not ASKED.wanted(changed("deploy", migrations=None))
