"""Prune: what earlier releases applied and this one does not have goes, once nothing may need it any more."""

from __future__ import annotations

from slipway.release import given
from slipway.stages.health import HEALTH
from slipway.stages.plan import inventory
from slipway.stages.smoke import SMOKE
from slipway.stages.stage import CLUSTER, Run, Step
from slipway.stages.verify import VERIFY


def act(run: Run, _decided: None) -> given.Pruned:
    """Remove it; what is whose, and what may go, is decided by the adapter for each object as it is at that moment."""
    done = run.world.cluster().prune(**inventory(run, run.record()))
    print("\n".join(done) or "nothing of earlier releases is left over")
    return given.Pruned(removed=done)


# only now: until healthy, an old pod that starts again, or a rollback, may need what the release has no more
PRUNE: Step[None, None] = Step(
    id="prune",
    title="Remove what is no longer released",
    group=VERIFY,
    after=(SMOKE, HEALTH),
    gives=given.Pruned,
    pool=CLUSTER,
    holds_lane=True,
    act=act,
)
