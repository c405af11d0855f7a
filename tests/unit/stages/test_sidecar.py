"""Throwaway parts are made for a gate that must run, on a network of their own, and removed whatever became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.catalog import Service
from slipway.errors import Transient
from slipway.release import given
from slipway.stages import scan, sidecar, test
from slipway.stages.stage import Run

NAME = "slipway-ai-generation-aaaaaaaaaaaa"


def started(world: Any) -> dict[str, dict[str, Any]]:
    return {one[1]: one[2] for one in world.did if one[0] == "start"}


def test_nothing_is_made_for_a_gate_whose_verdict_is_known(
    run: Callable[..., Run],
    world: Any,
    accepted: given.Accepted,
    workspace: given.Workspace,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked: list[str] = []

    def settled(gate: str) -> str:
        asked.append(gate)
        return "has passed already"

    for stage in (test.DATABASE, scan.SERVICE):
        stage.run(run(stage, accepted, workspace, settled=settled))
    assert world.did == []
    assert asked == ["test.integration", "scan.dynamic"]
    assert "test.integration does not run: has passed already" in capsys.readouterr().out


def test_service_runs_from_its_source_with_its_database(
    run: Callable[..., Run], world: Any, accepted: given.Accepted, workspace: given.Workspace
) -> None:
    at = run(scan.SERVICE, accepted, workspace)
    scan.SERVICE.run(at)
    service = next(options for name, options in started(world).items() if name.endswith("-service"))
    assert service["command"] == at.service.scan.dynamic.command
    assert ("DATABASE_URL" in service["environment"]) is at.service.scan.dynamic.database
    assert all(
        mount["ReadOnly"] for mount in service["mounts"] if mount["Type"] == "volume" and mount["Source"]
    )


def test_service_of_another_stack_is_built_where_it_is_started(
    run: Callable[..., Run],
    world: Any,
    service: Service,
    accepted: given.Accepted,
    workspace: given.Workspace,
) -> None:
    other = service.model_copy(update={"stack": "node"})
    has = accepted.model_copy(update={"images": {**accepted.images, "toolbox-node": "node@sha256:1"}})
    scan.SERVICE.run(run(scan.SERVICE, has, workspace, of=other))
    options = next(options for name, options in started(world).items() if name.endswith("-service"))
    assert tuple(options["command"]) == ("/opt/slipway/bin/serve", *service.scan.dynamic.command)
    assert "exec" in options["tmpfs"]["/tmp"]
    assert "'toolbox-node'" in sidecar.policy(other)
    assert "'toolbox-node'" not in sidecar.policy(service)


def test_service_without_database_has_a_network_all_the_same(
    run: Callable[..., Run],
    world: Any,
    service: Service,
    accepted: given.Accepted,
    workspace: given.Workspace,
) -> None:
    dynamic = service.scan.dynamic.model_copy(update={"database": False})
    alone = service.model_copy(update={"scan": service.scan.model_copy(update={"dynamic": dynamic})})
    scan.SERVICE.run(run(scan.SERVICE, accepted, workspace, of=alone))
    assert len(world.of_engine.networks) == 1
    assert [name.rpartition("-")[2] for name in started(world)] == ["service"]


def test_all_parts_go_and_a_network_that_stays_is_told(run: Callable[..., Run], world: Any) -> None:
    at = run(test.REMOVED)
    test.REMOVED.run(at)
    assert [one[1].rpartition("-")[2] for one in world.did] == ["database", "schema", "service"]
    world.of_engine.stuck = True
    with pytest.raises(Transient, match="is still there"):
        test.REMOVED.run(at)
    assert test.REMOVED.trigger_rule == "all_done"
