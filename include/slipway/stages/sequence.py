"""All stages of a release, one line each.

What comes before what they say themselves. The order here is that in which they are shown, and of several that failed side by
side the first decides how the release ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.stages import (
    accept,
    apply,
    build,
    checkout,
    config,
    contract,
    gate,
    health,
    image,
    infrastructure,
    lane,
    migrate,
    pending,
    plan,
    prune,
    report,
    rollback,
    rollout,
    scan,
    secrets,
    smoke,
    test,
    verified,
)
from slipway.stages.flow import Flow, flow

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.stages.stage import Stage

STAGES: tuple[Stage, ...] = (
    accept.ACCEPT,
    checkout.CHECKOUT,
    checkout.DEPENDENCIES,
    build.COMPILE,
    build.LINT,
    build.ANALYZE,
    test.UNIT,
    test.INTEGRATION,
    test.DATABASE,
    test.REMOVED,
    scan.SAST,
    scan.VULNERABLE,
    scan.SECRETS,
    scan.DOCKERFILE,
    scan.SERVICE,
    scan.DYNAMIC,
    scan.REMOVED,
    gate.GATE,
    image.BUILT,
    image.SBOM,
    image.PUSH,
    lane.LANE,
    config.CONFIG,
    infrastructure.CHANGED,
    infrastructure.CHECK,
    pending.PENDING,
    plan.PLAN,
    infrastructure.INFRA,
    secrets.SECRETS,
    migrate.NEEDED,
    migrate.MIGRATE,
    apply.APPLY,
    rollout.ROLLOUT,
    migrate.SETTLED,
    smoke.SMOKE,
    health.HEALTH,
    contract.NEEDED,
    contract.CONTRACT,
    prune.PRUNE,
    verified.VERIFIED,
    rollback.ROLLBACK,
    lane.UNLANE,
    report.REPORT,
)


def release_of(service: Service) -> Flow:
    """Give the stages of a service's release, in their order."""
    return flow(service, STAGES)
