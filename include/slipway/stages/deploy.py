"""Deploy: nothing changes before the stage `plan`, and after it only what that says."""

from __future__ import annotations

from slipway.stages.lane import LANE
from slipway.stages.stage import Group

DEPLOY = Group(id="deploy", title="Deploy to staging", tooltip="Config, plan, schema, apply", after=(LANE,))
