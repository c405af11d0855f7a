"""What the cluster has otherwise is re-applied in the lane, unless a release is changing the service."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.adapters.cluster import Difference
from slipway.catalog import Service
from slipway.ledger import Release
from slipway.release import given
from slipway.stages import drift as module
from slipway.stages.flow import flow
from slipway.stages.refresh import stages_of
from slipway.stages.sensor import Waits
from slipway.stages.stage import Run, Step, Watch, Well

DEPLOYMENT = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "web"}}
SERVICE_ = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "web"}}
LOOKED = given.Looked(
    service="ai-generation",
    environment="staging",
    run_id="web.1",
    commit="a" * 40,
    ref="r",
    requested_at="2026-01-01T00:00:00+00:00",
    images={},
    advisories_max_age_days=7,
)


@pytest.fixture
def deployed(world: Any, a_release: Callable[..., Release], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives a world in which a release is deployed, of which one object has drifted, and whose lane is free."""
    release = a_release(run_id="web.1", digest="sha256:1", manifests=[DEPLOYMENT, SERVICE_])
    monkeypatch.setattr(module.refreshes, "active", lambda *_: release)
    ledger = world.of_ledger
    ledger.lane_acquire = lambda *_: world.did.append("lane taken")
    ledger.lane_release = lambda *_: world.did.append("lane left")
    world.of_cluster.differences = [Difference("Deployment/web", ("-a", "+b"), ("kubectl",))]
    return world


@pytest.fixture
def stages(service: Service) -> dict[str, Any]:
    return {one.id: one for one in stages_of(service)}


@pytest.fixture
def at(run: Callable[..., Run], service: Service, stages: dict[str, Any]) -> Callable[[str], Run]:
    ti = SimpleNamespace(xcom_pull=lambda task_ids, key: LOOKED.dump())
    return lambda stage: run(stages[stage], flow=flow(service, tuple(stages.values())), ti=ti)


def test_only_what_drifted_is_applied_again_in_the_lane(
    deployed: Any, at: Callable[[str], Run], stages: dict[str, Any]
) -> None:
    step: Step[Any, Any] = stages["drift"]
    found = step.run(at("drift"))
    assert deployed.did == ["lane taken", ("apply", ["Deployment"]), "lane left"]
    assert found.found == ("drifted: Deployment/web (changed by another: kubectl)",)
    assert found.done == ("re-applied Deployment/web: changed",)
    assert found.differences == ({"title": "Deployment/web", "lines": ["-a", "+b"], "owners": ["kubectl"]},)


def test_cluster_that_is_as_released_is_left_alone(
    deployed: Any, at: Callable[[str], Run], stages: dict[str, Any]
) -> None:
    deployed.of_cluster.differences = []
    assert stages["drift"].run(at("drift")) == given.Repaired()
    assert deployed.did == []


@pytest.mark.parametrize("goes_on", [True, False])
def test_run_that_has_the_lane_applies_its_own_unless_it_has_ended(
    deployed: Any,
    at: Callable[[str], Run],
    stages: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    goes_on: bool,
) -> None:
    holders = [SimpleNamespace(run_id="web.2"), None]
    deployed.of_ledger.lane_acquire = lambda *_: holders.pop(0)
    monkeypatch.setattr(module.lane, "is_run", lambda *_: True)
    monkeypatch.setattr(module.lane, "runs", lambda *_: goes_on)
    found = stages["drift"].run(at("drift"))
    if goes_on:
        assert found.done == ("not repaired: web.2 is changing ai-generation, and applies its own manifests",)
        assert deployed.did == []
    else:
        assert found.done == ("re-applied Deployment/web: changed",)


def test_lane_is_left_when_nothing_can_be_applied(
    deployed: Any, at: Callable[[str], Run], stages: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("not so")

    monkeypatch.setattr(deployed.of_cluster, "apply", refuse)
    with pytest.raises(RuntimeError):
        stages["drift"].run(at("drift"))
    assert deployed.did[-1] == "lane left"


def test_service_must_be_well_as_what_the_ledger_says(
    deployed: Any, at: Callable[[str], Run], stages: dict[str, Any], service: Service
) -> None:
    watch: Watch[Any] = stages["healthy"]
    health = service.verify.health
    deployed.of_cluster.answers = {
        health.ready: (200, b""),
        health.version: (200, b'{"commit": "' + b"a" * 40 + b'"}'),
    }
    found = watch.once(at("healthy"))
    assert isinstance(found, Well)
    assert found.said == f"healthy as web.1, commit {'a' * 40}: 2 pods run it"
    deployed.of_cluster.answers[health.ready] = (503, b"")
    assert isinstance(watch.once(at("healthy")), Waits)
