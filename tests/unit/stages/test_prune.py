"""What earlier releases applied and this one does not have goes once it is healthy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slipway.ledger import Release
from slipway.stages.health import HEALTH
from slipway.stages.prune import PRUNE
from slipway.stages.sequence import release_of
from slipway.stages.stage import Run


def manifest(kind: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": "web", "namespace": "web"}}


def test_what_this_release_has_stays(
    run: Callable[..., Run], world: Any, a_release: Callable[..., Release]
) -> None:
    at = run(PRUNE)
    world.of_ledger.releases[at.run_id] = a_release(manifests=[manifest("Service")])
    world.of_ledger.releases["old"] = a_release(
        run_id="old", manifests=[manifest("Service"), manifest("ConfigMap")]
    )
    world.of_cluster.stale = ["ConfigMap/web"]
    assert PRUNE.run(at).removed == ("ConfigMap/web: deleted",)
    [(_, gone)] = world.did
    assert len(gone) == 1
    assert "ConfigMap" in str(gone[0])


def test_it_goes_only_when_healthy(run: Callable[..., Run]) -> None:
    at = run(PRUNE)
    assert HEALTH in release_of(at.service).earlier(PRUNE)
