"""One look at a service: what it lacks, and whose fault it is if that stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from slipway.adapters.cluster import Cause, Obstacle, Rollout
from slipway.catalog import Service
from slipway.catalog.service import Check, Health
from slipway.errors import Permanent, PolicyFailed
from slipway.stages.verify import answers, look

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
    waits = answers(cluster, service, COMMIT)
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


def test_worker_that_nobody_can_ask_is_well_if_its_pods_are(
    cluster: Any, changed: Callable[..., Service]
) -> None:
    cluster.answers = {}
    worker = changed("verify", health=Health(service=None))
    assert look(cluster, worker, "sha256:1", COMMIT)[1] is None


def test_commit_is_not_asked_for_where_the_catalog_names_no_address(
    cluster: Any, changed: Callable[..., Service]
) -> None:
    cluster.answers = {"/live": (204, b"")}
    plain = changed("verify", health=Health(service="web", checks=(Check(path="/live", status=204),)))
    assert look(cluster, plain, "sha256:1", COMMIT)[1] is None


def test_each_check_is_asked(cluster: Any, changed: Callable[..., Service]) -> None:
    cluster.answers = {"/ready": (200, b""), "/db": (200, b'{"pool": {"free": 0}}')}
    health = Health(service="web", ready="/ready", checks=(Check(path="/db", holds={"/pool/free": 1}),))
    waits = look(cluster, changed("verify", health=health), "sha256:1", COMMIT)[1]
    assert waits is not None
    assert waits.text == "/db has 0 at /pool/free, and not 1"
