"""Verify: is the service well? Its pods, what it answers, and as which commit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from slipway.errors import PolicyFailed
from slipway.stages.deploy import DEPLOY
from slipway.stages.lane import UNLANE
from slipway.stages.sensor import Waits, on_rollout
from slipway.stages.stage import Group

if TYPE_CHECKING:
    from slipway.adapters.cluster import Rollout
    from slipway.catalog import Service
    from slipway.stages.world import Cluster

VERIFY = Group(id="verify", title="Verify", tooltip="Smoke test, health", after=(DEPLOY,), before=(UNLANE,))


def look(cluster: Cluster, service: Service, digest: str, commit: str) -> tuple[Rollout, Waits | None]:
    """Look once whether a service is well: its pods, what it answers, and as which commit; give what it lacks, if anything.

    A single look is no verdict: a request may meet a pod that is going away, or one that is not quite there.

    :raises SlipwayError: if the rollout has come to an end that no wait changes.
    """
    plan, health = service.deploy, service.verify.health
    state = cluster.rollout(plan.namespace, plan.deployment, digest, timeout_s=plan.rollout.timeout_s)
    if not state.complete:
        return state, on_rollout(state)
    status, body = cluster.get(plan.namespace, health.service, health.port, health.ready)
    if status != 200:
        said = body[:200].decode(errors="replace")
        return state, Waits(f"{health.ready} answers {status} {said}", PolicyFailed, code="health.not-ready")
    return state, reports(cluster, service, commit)


def reports(cluster: Cluster, service: Service, commit: str) -> Waits | None:
    """Ask once as which commit a service answers; give what it lacks if that is another."""
    health = service.verify.health
    status, body = cluster.get(service.deploy.namespace, health.service, health.port, health.version)
    if status == 200 and commit_of(body) == commit:
        return None
    reported = commit_of(body) if status == 200 else None
    return Waits(
        f"{health.version} answers {status} with commit {reported}, but {commit} was released",
        PolicyFailed,
        "report the commit on the version endpoint: the build argument COMMIT has it",
        code="health.other-commit",
    )


def commit_of(body: bytes) -> Any:
    """Give the commit that the body of a version endpoint names; None if it names none."""
    try:
        return json.loads(body)["commit"]
    except (ValueError, KeyError, TypeError):
        return None
