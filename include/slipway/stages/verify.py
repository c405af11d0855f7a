"""Verify: is the service well? Its pods, what it answers, and as which commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed
from slipway.release import checks
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
    plan = service.deploy
    state = cluster.rollout(plan.namespace, plan.deployment, digest, timeout_s=plan.rollout.timeout_s)
    if not state.complete:
        return state, on_rollout(state)
    return state, answers(cluster, service, commit)


def answers(cluster: Cluster, service: Service, commit: str) -> Waits | None:
    """Ask a service once, and as which commit it answers; give what it lacks, if anything."""
    health, namespace = service.verify.health, service.deploy.namespace
    if health.service is None:
        return None
    for check in health.asked:
        if why := checks.unmet(check, *cluster.get(namespace, health.service, health.port, check.path)):
            return Waits(why, PolicyFailed, code="health.not-ready")
    if health.version is None:
        return None
    status, body = cluster.get(namespace, health.service, health.port, health.version)
    if status == 200 and checks.is_commit(body, health.commit, commit):
        return None
    reported = checks.named(body, health.commit) if status == 200 else None
    return Waits(
        f"{health.version} answers {status} with commit {reported}, but {commit} was released",
        PolicyFailed,
        "report the commit on the version endpoint: the build argument COMMIT has it",
        code="health.other-commit",
    )
