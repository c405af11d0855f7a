"""What the database lacks of the changelog: asked before the plan, with leased credentials, and judged by the lint."""

from __future__ import annotations

from slipway.release import given
from slipway.stages.deploy import DEPLOY
from slipway.stages.migrations import PendingPod
from slipway.stages.stage import Pod

PENDING = Pod(
    id="pending",
    title="Ask the database",
    group=DEPLOY,
    wanted=lambda service: service.deploy.migrations is not None,
    needs=(given.Accepted, given.Pushed),
    gives=given.Pending,
    kind=PendingPod,
)
