"""What a release's tasks are given together: who goes first when slots are scarce, and how long the whole may take."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from slipway.release import Mode
from slipway.release.graph import longest_s, weights

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from slipway.stages.flow import Flow
    from slipway.stages.lane import LaneOperator

AT_ONCE = 4
"""Releases of a service that run at once: gated side by side; the lane lets one at a time change the environment."""


def bound(dag: DAG, flow: Flow, lane: LaneOperator, mode: Mode) -> None:
    """Give each task its weight, and the wait for the lane and the whole run their time: what the catalog allows together.

    The run's is for what nothing else ends: its tasks have their own, and Airflow ends a run that is late without a report.
    """
    before = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    beside = [one for one in flow.stages if one.group and one.group.gates and not one.teardown]
    gates = [one.task_id for one in sorted(beside, key=lambda one: not one.setup)]
    for name, weight in weights(before, gates).items():
        dag.get_task(name).priority_weight = weight
    tasks = [one for one in dag.tasks if isinstance(one, BaseOperator)]
    once = {task.task_id: task_s(task, tries=1) for task in tasks}
    always = {task.task_id: task_s(task, tries=1 + (task.retries or 0)) for task in tasks}
    after = lane.get_flat_relative_ids(upstream=False)
    held_s = longest_s({name: known for name, known in before.items() if name in after}, once)
    # the newest waits for who has the lane; one of many in order for all that are at once before it, from their first task on
    lane.wait_s = longest_s(before, once) * (AT_ONCE - 1) if mode is Mode.EVERY_COMMIT else held_s
    dag.dagrun_timeout = timedelta(seconds=longest_s(before, always) + lane.wait_s)


def task_s(task: BaseOperator, tries: int) -> float:
    """Give the longest time of a task that is tried so often, with the longest pauses between, in seconds."""
    pause = task.max_retry_delay
    assert task.execution_timeout is not None
    assert isinstance(pause, timedelta)
    return tries * task.execution_timeout.total_seconds() + (tries - 1) * pause.total_seconds()
