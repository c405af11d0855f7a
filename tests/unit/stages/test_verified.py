"""The leaf that decides what Airflow calls the run: it needs no process."""

from __future__ import annotations

from slipway.catalog import Service
from slipway.stages.sequence import release_of
from slipway.stages.verified import VERIFIED


def test_everything_that_verifies_comes_before_it_and_what_rolls_back_does_not(service: Service) -> None:
    order = release_of(service)
    earlier = {one.task_id for one in order.earlier(VERIFIED)}
    assert set(order.rolling_back) <= earlier
    assert {"verify.prune", "verify.contract"} <= earlier
    assert "rollback" not in earlier


def test_it_runs_nothing(service: Service) -> None:
    operator = VERIFIED.operator(service, release_of(service))
    assert operator.task_type == "EmptyOperator"
    assert operator.trigger_rule == "none_failed_min_one_success"
