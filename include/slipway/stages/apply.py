"""Apply: what was planned is applied to the cluster, if that is still what the plan was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed
from slipway.release import given
from slipway.release import plan as planning
from slipway.stages import links
from slipway.stages.deploy import DEPLOY
from slipway.stages.infrastructure import INFRA
from slipway.stages.plan import PLAN, changes
from slipway.stages.stage import CLUSTER, GOES_ON, Run, Step, always

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.ledger import Release


@dataclass(frozen=True)
class Now:
    """What a release meets: its record, and what applying would change."""

    record: Release
    changes: Sequence[planning.Change]


def read(run: Run) -> Now:
    """Ask the cluster what would change."""
    record = run.record()
    return Now(record, changes(run.world.cluster(), record.manifests or []))


def decide(_service: Service, now: Now) -> Release:
    """Let go on what was planned so.

    :raises PolicyFailed: if the cluster is another than the plan was made of.
    """
    if moved := planning.moved(now.record.plan or {}, now.changes):
        raise PolicyFailed(
            f"the cluster is not what the plan was made of: {moved[0]}",
            code="deploy.plan-outdated",
            remedy="see who changed it; then clear this run's task `deploy.plan` with downstream: a new plan is made",
            lines=moved[1:],
        )
    return now.record


def act(run: Run, record: Release) -> given.Applied:
    """Apply the manifests."""
    ledger = run.world.ledger()
    if record.infra_hash is None and (infra := run.take(given.Configured).infra):
        ledger.update(run.run_id, infra_hash=infra)
    # before it is so: whoever finds it half applied knows whose it is, and where to go on or back from
    ledger.deployed(run.run_id)
    done = run.world.cluster().apply(record.manifests or [])
    print("\n".join(done))
    return given.Applied(changes=done)


def migrates_first(service: Service) -> bool:
    """Tell whether changesets run before the manifests are applied."""
    return service.deploy.migrations is not None and service.deploy.order != "after"


APPLY = Step(
    id="apply",
    title="Apply manifests",
    group=DEPLOY,
    # where changesets come first, they say themselves that they come before it
    after=lambda service: () if migrates_first(service) else (PLAN, INFRA),
    needs=(given.Configured,),
    gives=given.Applied,
    pool=CLUSTER,
    trigger_rule=GOES_ON,
    rolls_back=always,
    holds_lane=True,
    links=(links.PodsLink, links.ReleaseLink),
    read=read,
    decide=decide,
    act=act,
)
