"""What tasks are given together; the DAGs' own weights and times are looked at in tests/unit/dags."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from slipway.catalog import Service
from slipway.release import Mode
from slipway.stages.bounds import AT_ONCE, bound, task_s
from slipway.stages.lane import LANE, LaneOperator
from slipway.stages.operators import compose
from slipway.stages.outcome import DEFAULTS
from slipway.stages.sequence import release_of


def made(service: Service, mode: Mode) -> tuple[DAG, LaneOperator]:
    flow = release_of(service)
    with DAG("x", schedule=None, default_args=DEFAULTS) as dag:
        compose(service, flow)
        lane = dag.get_task(LANE.task_id)
        assert isinstance(lane, LaneOperator)
        bound(dag, flow, lane, mode)
    return dag, lane


def test_wait_for_the_lane_is_as_long_as_another_may_have_it(service: Service) -> None:
    dag, lane = made(service, Mode.NEWEST)
    held = {"deploy.config", "deploy.plan", "deploy.apply", "deploy.rollout", "verify.health"} & set(
        dag.task_dict
    )
    assert lane.wait_s >= sum(task_s(dag.get_task(one), tries=1) for one in held)
    assert dag.dagrun_timeout is not None
    assert dag.dagrun_timeout.total_seconds() > lane.wait_s + sum(
        task_s(dag.get_task(one), tries=4) for one in held
    )


def test_where_every_commit_goes_it_waits_for_all_before_it(service: Service) -> None:
    newest, every = (made(service, mode)[1].wait_s for mode in (Mode.NEWEST, Mode.EVERY_COMMIT))
    assert every > (AT_ONCE - 1) * newest


def test_tries_and_pauses_count(service: Service) -> None:
    dag, _ = made(service, Mode.NEWEST)
    gate = dag.get_task("gate")
    assert gate.execution_timeout == timedelta(minutes=5)
    assert task_s(gate, tries=1) == 300
    assert task_s(gate, tries=4) == 4 * 300 + 3 * 60
