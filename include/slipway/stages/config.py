"""Configuration: the manifests and the playbook at a pinned revision, and the version of the service's secret in Vault."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from slipway.errors import Permanent, PolicyFailed
from slipway.release import given, manifests
from slipway.release import plan as decide_
from slipway.stages import lanes
from slipway.stages.deploy import DEPLOY
from slipway.stages.stage import Run, Step

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.stages.world import World


@dataclass(frozen=True)
class Sources:
    """Of what a release's configuration is made.

    :param files: the manifests as they are committed. :param playbook: the files of the playbook's folder; None without one.
    :param vault: version of the service's secret; None if nothing of it is used.
    """

    accepted: given.Accepted
    pushed: given.Pushed
    revision: str
    files: Mapping[str, bytes]
    playbook: Mapping[str, bytes] | None
    vault: str | None


@dataclass(frozen=True)
class Rendered:
    """What is to be applied, and by which configuration."""

    pushed: given.Pushed
    commit: str
    manifests: list[manifests.Manifest]
    configured: given.Configured


def read(run: Run) -> Sources:
    """Read manifests and playbook at the head of the config branch, or at the revision that an earlier try has pinned."""
    service, world = run.service, run.world
    repository = world.repository(service.config)
    # a cleared run deploys what it deployed
    known = world.ledger().record(run.run_id)
    revision = (known and known.config_revision) or repository.head(service.config.branch)
    repository.fetch(revision)
    return Sources(
        run.take(given.Accepted),
        run.take(given.Pushed),
        revision,
        repository.files(revision, service.config.manifests),
        playbook(world, service, revision),
        vault_version(world, service),
    )


def decide(service: Service, sources: Sources) -> Rendered:
    """Render what is to be applied.

    :raises PolicyFailed: if the manifests are not what a release may apply, or lack what it needs.
    """
    plan, accepted = service.deploy, sources.accepted
    loaded = manifests.load(
        sources.files,
        namespace=plan.namespace,
        kinds=plan.kinds,
        released=(plan.deployment, plan.container),
    )
    rendered = manifests.release_of(
        loaded,
        deployment=plan.deployment,
        container=plan.container,
        image=sources.pushed.image,
        commit=accepted.commit,
        service=service.service,
        secrets={plan.secret.name: sources.vault} if plan.secret and sources.vault else {},
    )
    infra = infra_hash(service, sources.revision, sources.playbook, sources.vault, accepted.images)
    configured = given.Configured(revision=sources.revision, infra=infra, vault=sources.vault)
    return Rendered(sources.pushed, accepted.commit, rendered, configured)


def act(run: Run, rendered: Rendered) -> given.Configured:
    """Ask the API server what it would say to it, and put it on record.

    :raises PolicyFailed: if the API server would refuse it, or the commit is held with this configuration.
    """
    world, service, revision = run.world, run.service.service, rendered.configured.revision
    # what the API server would refuse is refused before the database is even asked
    world.cluster().difference(rendered.manifests)
    ledger = world.ledger()
    # infra_hash is recorded when the playbook has run
    ledger.update(run.run_id, config_revision=revision, manifests=rendered.manifests)
    lanes.refuse_held(
        service, run.environment, rendered.commit, revision, rendered.pushed.digest, ledger=ledger
    )
    names = [f"{one['kind']}/{one['metadata']['name']}" for one in rendered.manifests]
    print(f"config {revision}: {', '.join(names)}")
    return rendered.configured


def vault_version(world: World, service: Service) -> str | None:
    """Give which version of its secret in Vault a service's pods and playbook are to have; None if they get nothing of it."""
    if not (service.deploy.secret or service.config.variables):
        return None
    return world.secret_versioned(f"services/{service.service}")[1]


def playbook(world: World, service: Service, revision: str) -> dict[str, bytes] | None:
    """Give the files of the playbook's folder; None for a service without one."""
    if not service.config.playbook:
        return None
    folder = str(PurePosixPath(service.config.playbook).parent)
    return world.repository(service.config).files(revision, folder)


def infra_hash(
    service: Service,
    revision: str,
    files: Mapping[str, bytes] | None,
    version: str | None,
    images: Mapping[str, str],
) -> str | None:
    """Give a hash of all that decides what the playbook does: its files, variables, toolbox, namespace; None without one.

    :param version: of the service's secret in Vault: a hash of the values themselves would be one of a secret.
    :raises PolicyFailed: if the playbook is not among its folder's files.
    """
    if files is None:
        return None
    if service.config.playbook not in files:
        raise PolicyFailed(
            f"{service.config.playbook} is not in the config repository at {revision}",
            code="config.playbook-missing",
            remedy="commit it, or correct `config.playbook` in the catalog",
        )
    variables = {"keys": sorted(service.config.variables), "version": version}
    return "sha256:" + decide_.digest(
        {
            "playbook": service.config.playbook,
            "files": manifests.content_hash(files),
            "variables": variables if service.config.variables else None,
            "toolbox": images.get("toolbox-ansible"),
            "namespace": service.deploy.namespace,
        }
    )


def planned_secret(world: World, service: Service, planned: given.Configured) -> dict[str, Any]:
    """Give the service's secret in Vault, if it is still the one that the plan was made for.

    :raises Permanent: if it was changed since.
    """
    found, version = world.secret_versioned(f"services/{service.service}")
    if planned.vault not in (None, version):  # runs of earlier versions have none
        raise Permanent(
            f"Vault's secret/services/{service.service} was changed since the plan: it is {version}, planned was {planned.vault}",
            code="config.secret-changed",
            remedy="clear this run's task `deploy.config` with downstream: a new plan is made",
        )
    return found


CONFIG = Step(
    id="config",
    title="Deployment config",
    group=DEPLOY,
    needs=(given.Accepted, given.Pushed),
    gives=given.Configured,
    read=read,
    decide=decide,
    act=act,
)
