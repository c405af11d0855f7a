"""Drift: what the cluster has otherwise than it was released is told, and re-applied in the lane; then it must be well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.ledger import refreshes
from slipway.release import given
from slipway.stages import lane
from slipway.stages.inspection import looked
from slipway.stages.lanes import MARGIN_S
from slipway.stages.stage import ALWAYS, CLUSTER, Group, Run, Stage, Step, Watch, Well
from slipway.stages.verify import look

if TYPE_CHECKING:
    from slipway.adapters.cluster import Difference, Rollout
    from slipway.catalog import Service
    from slipway.ledger import Release
    from slipway.stages.sensor import Waits

SHOWN = 200
"""Lines of one object's difference that are shown and kept."""


@dataclass(frozen=True)
class Now:
    """What is deployed, and how the cluster differs from it."""

    release: Release
    differences: tuple[Difference, ...]


def read(run: Run) -> Now:
    """Compare the cluster with what was applied last.

    :raises AirflowSkipException: if nothing is deployed.
    """
    release = refreshes.active(run.world.ledger(), run.service.service, looked(run).environment)
    assert release is not None
    found = tuple(one for one in run.world.cluster().difference(release.manifests, force=True) if one)
    for one in found:
        print("\n".join([f"{one.title} is not as {release.run_id} left it", *one.lines[:SHOWN]]))
        print("\n".join(f"  changed by another: {owner}" for owner in one.owners))
    return Now(release, found)


def act(run: Run, now: Now) -> given.Repaired:
    """Apply again what has drifted, unless another run is changing the service. Whether it is well then, `healthy` waits for."""
    if not now.differences:
        print("the cluster is as it was released")
        return given.Repaired()
    service, ledger, environment = run.service, run.world.ledger(), looked(run).environment
    if holder := _taken_by(run, environment):
        left = f"not repaired: {holder} is changing {service.service}, and applies its own manifests"
        print(left)
        return told(now.differences, [left])
    try:
        # once more, now that nobody else changes anything
        now = read(run)
        drifted = {one.title for one in now.differences}
        again = [
            one for one in now.release.manifests if f"{one['kind']}/{one['metadata']['name']}" in drifted
        ]
        done = [f"re-applied {one}" for one in run.world.cluster().apply(again, force=True)]
        print("\n".join(done))
    finally:
        ledger.lane_release(service.service, environment, run.run_id)
    return told(now.differences, done)


def _taken_by(run: Run, environment: str) -> str | None:
    """Take the lane; give the run that has it instead. One that has ended without leaving it does not keep it."""
    ledger, name = run.world.ledger(), run.service.service
    ttl_s = run.service.deploy.rollout.timeout_s + MARGIN_S
    holder = ledger.lane_acquire(name, environment, run.run_id, ttl_s)
    if holder is None:
        return None
    if lane.is_run(ledger, holder.run_id) and not lane.runs(run.context, run.service, holder.run_id):
        print(f"{holder.run_id} has ended without leaving the lane: it is free")
        ledger.lane_release(name, environment, holder.run_id)
        holder = ledger.lane_acquire(name, environment, run.run_id, ttl_s)
    return holder.run_id if holder else None


def told(found: Sequence[Difference], done: list[str]) -> given.Repaired:
    """Give in words what had drifted, and what was done."""
    drifted = [
        f"drifted: {one.title}" + (f" (changed by another: {', '.join(one.owners)})" if one.owners else "")
        for one in found
    ]
    shown = [
        {"title": one.title, "lines": list(one.lines[:SHOWN]), "owners": list(one.owners)} for one in found
    ]
    return given.Repaired(found=drifted, done=done, differences=shown)


def watch(run: Run) -> tuple[Release, Rollout, Waits | None]:
    """Look once whether the service works, and is the commit that the ledger says."""
    release = refreshes.active(run.world.ledger(), run.service.service, looked(run).environment)
    assert release is not None
    return release, *look(run.world.cluster(), run.service, str(release.digest), release.commit)


def judge(_service: Service, seen: tuple[Release, Rollout, Waits | None]) -> Waits | Well:
    """Give what it lacks, or that it is well."""
    release, state, lacks = seen
    return lacks or Well(
        given.StillHealthy(pods=state.pods, image_ids=state.image_ids),
        f"healthy as {release.run_id}, commit {release.commit}: {state.message}",
    )


def drift(group: Group, after: Stage) -> tuple[Stage, Stage]:
    """Give the stages that repair what has drifted, and see that the service is well, whatever became of what is before."""
    repaired = Step(
        id="drift",
        title="Drift",
        group=group,
        after=(after,),
        asks=(given.Looked,),
        gives=given.Repaired,
        pool=CLUSTER,
        trigger_rule=ALWAYS,
        timeout_s=lambda service: service.deploy.rollout.timeout_s,
        read=read,
        act=act,
    )
    healthy = Watch(
        id="healthy",
        title="Healthy",
        group=group,
        after=(repaired,),
        asks=(given.Looked,),
        gives=given.StillHealthy,
        trigger_rule=ALWAYS,
        timeout_s=lambda service: service.verify.health.timeout_s,
        look=watch,
        judge=judge,
    )
    return repaired, healthy
