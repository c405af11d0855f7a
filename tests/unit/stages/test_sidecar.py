"""Throwaway parts are made for a gate that must run, on a network of their own, and removed whatever became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.catalog import Service
from slipway.catalog.service import Beside
from slipway.errors import PolicyFailed, Transient
from slipway.release import given
from slipway.release.bases import refuse_lacking
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
    assert "'toolbox-node'" in sidecar.policy(other, {})
    assert "'toolbox-node'" not in sidecar.policy(service, {})


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
    assert [one[1].rpartition("-")[2] for one in world.did] == ["database", "schema", "service", "probe"]
    world.of_engine.stuck = True
    with pytest.raises(Transient, match="is still there"):
        test.REMOVED.run(at)
    assert test.REMOVED.trigger_rule == "all_done"


CACHE = Beside(image="redis:7", port=6379, ready=("redis-cli", "ping"), writable=("/data",))


def beside(service: Service, *, database: bool) -> Service:
    integration = service.test.integration.model_copy(
        update={"services": {"my-cache": CACHE}, "database": database}
    )
    return service.model_copy(update={"test": service.test.model_copy(update={"integration": integration})})


@pytest.mark.parametrize("database", [True, False])
def test_services_run_beside_the_tests_and_are_waited_for(
    run: Callable[..., Run],
    world: Any,
    service: Service,
    accepted: given.Accepted,
    workspace: given.Workspace,
    database: bool,
) -> None:
    has = accepted.model_copy(update={"bases": {"redis:7": "redis@sha256:1"}})
    other = beside(service, database=database)
    test.DATABASE.run(run(test.DATABASE, has, workspace, of=other))
    options = next(told for name, told in started(world).items() if name.endswith("-my-cache"))
    assert options["aliases"] == ["my-cache"]
    assert set(options["tmpfs"]) == {"/tmp", "/data"}
    probe = next(told for name, told in started(world).items() if name.endswith("-probe"))
    assert probe["command"][-3:] == ["my-cache", "6379", "60"]
    assert probe["network_mode"] == options["network_mode"]
    assert len(world.of_engine.networks) == 1
    assert any(name.endswith("-database") for name in started(world)) is database
    test.REMOVED.run(run(test.REMOVED, of=other))
    assert any(name.endswith("-my-cache") for kind, name, *_ in world.did if kind == "remove")


def test_tests_are_told_where_their_services_are_and_their_evidence_is_of_the_images(
    service: Service,
) -> None:
    assert sidecar.told({"my-cache": CACHE}) == {"MY_CACHE_HOST": "my-cache", "MY_CACHE_PORT": "6379"}
    policy = sidecar.policy(service, {"my-cache": CACHE})
    assert "'bases', 'redis:7'" in policy
    assert policy != sidecar.policy(service, {"my-cache": CACHE.model_copy(update={"command": ("redis",)})})
    assert policy == sidecar.policy(service, {"my-cache": CACHE.model_copy(update={"timeout_s": 5})})


def test_service_that_does_not_answer_fails_with_what_it_says(
    run: Callable[..., Run],
    world: Any,
    service: Service,
    accepted: given.Accepted,
    workspace: given.Workspace,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    has = accepted.model_copy(update={"bases": {"redis:7": "redis@sha256:1"}})
    at = run(test.DATABASE, has, workspace, of=beside(service, database=False))
    monkeypatch.setattr(world.of_engine, "wait_exit", lambda *_: 1)
    monkeypatch.setattr(world.of_engine, "log_tail", lambda *_: ["begins", "cannot open /data"])
    with pytest.raises(
        PolicyFailed, match=r"my-cache \(redis:7\) does not answer at port 6379.*cannot open /data"
    ):
        test.DATABASE.run(at)


def test_image_that_the_platform_lacks_is_refused_with_the_nearest(service: Service) -> None:
    other = beside(service, database=False)
    refuse_lacking(other, {"redis:7": "x"})
    with pytest.raises(
        PolicyFailed, match=r"test.integration.services.my-cache: .* no image redis:7"
    ) as refused:
        refuse_lacking(other, {"redis:8": "x", "python:3.11": "x"})
    assert "redis:8" in str(refused.value)
