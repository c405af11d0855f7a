"""The plan: all that the release will change, computed and put on record before anything changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.release import given, manifests, reads
from slipway.release import plan as planning
from slipway.stages.deploy import DEPLOY
from slipway.stages.infrastructure import CHANGED, CHECK, INFRA
from slipway.stages.pending import PENDING
from slipway.stages.stage import CLUSTER, GOES_ON, Run, Step

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.ledger import Release
    from slipway.stages.world import Cluster


@dataclass(frozen=True)
class Now:
    """What a release meets.

    :param record: of the release. :param active: what is deployed. :param changes: what applying would change.
    :param pruned: what of earlier releases goes, in words.
    """

    record: Release
    active: Release | None
    changes: Sequence[planning.Change]
    pruned: Sequence[str]
    pending: given.Pending | None
    checked: given.Checked | None


@dataclass(frozen=True)
class Plan:
    """The plan, and what it says of the schema.

    :param found: as it is recorded. :param pending: what the database told, if it was asked.
    """

    found: dict[str, Any]
    pending: given.Pending | None


def read(run: Run) -> Now:
    """Ask ledger and cluster what there is, and what would change."""
    ledger, cluster, record = run.world.ledger(), run.world.cluster(), run.record()
    return Now(
        record,
        ledger.active(run.service.service, run.environment),
        changes(cluster, record.manifests or []),
        [str(one) for one in cluster.prunable(**inventory(run, record))],
        run.find(given.Pending),
        run.find(given.Checked),
    )


def decide(service: Service, now: Now) -> Plan:
    """Make the plan."""
    record, active, pending = now.record, now.active, now.pending
    secrets = {service.deploy.secret.name: ""} if service.deploy.secret else {}
    rendered = record.manifests or []
    found = planning.plan(
        image={"from": active.digest if active else None, "to": record.digest},
        config=str(record.config_revision),
        configured=active.config_revision if active else None,
        changes=now.changes,
        pruned=now.pruned,
        pods=reads.pods((active and active.manifests) or (), rendered, reads.known(rendered, secrets)),
        schema=pending.show() if pending else None,
        waived=pending.waived if pending else (),
        infra=now.checked.show() if now.checked else None,
    )
    return Plan(found, pending)


def act(run: Run, plan: Plan) -> given.Planned:
    """Put the plan on record."""
    known: dict[str, Any] = {"plan": plan.found, "plan_hash": plan.found["hash"]}
    if plan.pending:
        revision = plan.pending.revision
        known |= {"schema_revision_before": revision, "schema_revision": revision}
    run.world.ledger().update(run.run_id, **known)
    print("\n".join(planning.words(plan.found)))
    return given.Planned.load(plan.found)


def changes(cluster: Cluster, rendered: Sequence[manifests.Manifest]) -> list[planning.Change]:
    """Give what applying manifests would change."""
    return [planning.Change(one.title, one.lines) for one in cluster.difference(rendered)]


def inventory(run: Run, record: Release) -> dict[str, Any]:
    """Give what is looked at for pruning: what earlier releases applied, and what this one does."""
    # those that failed, too: what only they applied would be forgotten
    earlier = run.world.ledger().deployed_ones(run.service.service, run.environment)
    return {
        "namespace": run.service.deploy.namespace,
        "inventory": [item for one in earlier for item in manifests.inventory(one.manifests or ())],
        "keep": manifests.inventory(record.manifests),
        "service": run.service.service,
        "kinds": run.service.deploy.kinds,
    }


PLAN = Step(
    id="plan",
    title="Plan",
    group=DEPLOY,
    after=(CHANGED, CHECK, PENDING),
    before=(INFRA,),
    asks=(given.Pending, given.Checked),
    gives=given.Planned,
    pool=CLUSTER,
    trigger_rule=GOES_ON,
    read=read,
    decide=decide,
    act=act,
)
