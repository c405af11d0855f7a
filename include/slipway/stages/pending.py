"""What the database lacks of the changelog: asked before the plan, with leased credentials, and judged by the lint.

Asked beside the image; in the lane only if somebody else had that meanwhile.
"""

from __future__ import annotations

from slipway.release import given
from slipway.stages.deploy import DEPLOY
from slipway.stages.gate import GATE
from slipway.stages.migrations import AskPod, PendingPod
from slipway.stages.stage import Pod

ASKED = Pod(
    id="asked",
    title="Ask the database ahead",
    after=(GATE,),
    wanted=lambda service: service.deploy.migrations is not None,
    needs=(given.Accepted,),
    gives=given.Asked,
    holds_lane=False,
    kind=AskPod,
)

PENDING = Pod(
    id="pending",
    title="Ask the database",
    group=DEPLOY,
    wanted=lambda service: service.deploy.migrations is not None,
    after=(ASKED,),
    needs=(given.Accepted,),
    asks=(given.Asked,),
    gives=given.Pending,
    kind=PendingPod,
)
