"""One look at a service: what it lacks, and whose fault it is if that stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slipway.adapters.cluster import Cause, Obstacle, Rollout
from slipway.catalog import Service
from slipway.errors import Permanent, PolicyFailed
from slipway.stages.verify import commit_of, look, reports

COMMIT, OTHER = "a" * 40, "b" * 40
FULL = Obstacle(
    Cause.UNSCHEDULABLE, "Unschedulable: 0/3 nodes", "p", Cause.UNSCHEDULABLE.whose, is_final=False
)


@pytest.fixture
def cluster(world: Any, service: Service) -> Any:
    """Gives a cluster in which the service is well."""
    health, found = service.verify.health, world.of_cluster
    found.answers = {
        health.ready: (200, b""),
        health.version: (200, json.dumps({"commit": COMMIT}).encode()),
    }
    return found


def test_service_that_is_well_lacks_nothing(cluster: Any, service: Service) -> None:
    state, lacks = look(cluster, service, "sha256:1", COMMIT)
    assert (state.complete, lacks) == (True, None)


def test_other_commit_that_stays_is_the_services_fault_and_is_told(cluster: Any, service: Service) -> None:
    cluster.answers[service.verify.health.version] = (200, json.dumps({"commit": OTHER}).encode())
    waits = reports(cluster, service, COMMIT)
    assert waits is not None
    error = waits.over("verify.health", 120)
    assert isinstance(error, PolicyFailed)
    assert error.message == (
        f"verify.health: not so after 120 s: /version answers 200 with commit {OTHER}, but {COMMIT} was released"
    )


def test_service_that_is_not_ready_waits_and_is_its_own_fault(cluster: Any, service: Service) -> None:
    cluster.answers[service.verify.health.ready] = (503, b"starting")
    _, waits = look(cluster, service, "sha256:1", COMMIT)
    assert waits is not None
    assert isinstance(waits.over("it", 1), PolicyFailed)
    assert waits.text == "/readyz answers 503 starting"


def test_pods_that_find_no_room_meanwhile_are_the_platforms_affair(cluster: Any, service: Service) -> None:
    cluster.state = Rollout(False, str(FULL), obstacle=FULL)
    _, waits = look(cluster, service, "sha256:1", COMMIT)
    assert waits is not None
    over = waits.over("verify.health", 120)
    assert isinstance(over, Permanent)
    assert over.message == "verify.health: not so after 120 s: Unschedulable: 0/3 nodes (pod p)"
    assert "clear the task" in over.remedy


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'"x"', b"{}", b"\xff"])
def test_version_endpoint_that_names_no_commit_names_none(body: bytes) -> None:
    assert commit_of(body) is None
