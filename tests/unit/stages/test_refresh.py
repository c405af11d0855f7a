"""The refresh of a service: each stage after what it needs, and repair whatever failed before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from slipway.catalog import Service
from slipway.release import given
from slipway.stages.flow import flow
from slipway.stages.refresh import broken_group, service_group, stages_of
from slipway.stages.stage import ALWAYS, Run, Step


def test_stages_come_one_after_the_other_and_repair_whatever_failed(service: Service) -> None:
    stages = stages_of(service)
    order = flow(service, stages)
    for number, one in enumerate(stages):
        assert order.earlier(one) == set(stages[:number])
    assert [one.id for one in stages if one.trigger_rule == ALWAYS] == ["look", "drift", "healthy"]


def test_group_is_called_as_the_service_and_its_tasks_take_what_its_own_look_gave(service: Service) -> None:
    with DAG("refresh", schedule=None) as dag:
        group = service_group(service)
    assert group.group_id == service.service
    checked: Any = dag.get_task(f"{service.service}.dependencies")
    assert f"task_ids='{service.service}.look'" in checked.image
    assert f"task_ids='{service.service}.workspace'" in checked.volume


def test_what_is_deployed_is_checked_out_as_a_release_would(
    run: Callable[..., Run], world: Any, source: Any, service: Service
) -> None:
    source.content = dict.fromkeys(
        (service.source.dependencies.runtime, service.source.dependencies.development), b""
    )
    [workspace] = [one for one in stages_of(service) if one.id == "workspace"]
    assert isinstance(workspace, Step)
    found = given.Looked(
        service="ai-generation",
        environment="staging",
        run_id="web.1",
        commit="a" * 40,
        ref="r",
        requested_at="2026-01-01T00:00:00+00:00",
        images=world.platform().images,
        advisories_max_age_days=7,
    )
    made = workspace.run(run(workspace, found, flow=flow(service, ())))
    assert isinstance(made, given.CheckedOut)
    assert made.volume in world.of_engine.volumes


def test_file_that_cannot_be_read_has_a_group_that_says_why(tmp_path: Path) -> None:
    with DAG("refresh", schedule=None):
        group = broken_group(tmp_path / "web.yaml")
    assert list(group.children) == ["web.look"]
    with pytest.raises(KeyError):
        group.children["web.drift"]
