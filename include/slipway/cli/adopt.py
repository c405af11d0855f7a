"""`slipway adopt`: takes over what kubectl or Helm made, before the first release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from slipway.cli.releases import plain
from slipway.cli.trigger import known_service, reading

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

    from slipway.catalog import Service


@click.command()
@click.argument("service")
@click.option(
    "--manager",
    "managers",
    multiple=True,
    metavar="NAME",
    help="A field manager whose fields become the release's, besides those of kubectl and Helm; may be repeated.",
)
@click.option("--yes", is_flag=True, help="Do it without asking.")
def adopt(service: str, managers: tuple[str, ...], yes: bool) -> None:
    """Make the objects that SERVICE's manifests name, and that kubectl or Helm made, the releases' own.

    Only who manages their fields changes, no pod is replaced. Fields that the manifests lack go with the next release: its
    plan shows them. The cluster is that of KUBECONFIG, with your own rights. Exit codes: 0 done, 1 it is not to be done, 2
    usage, 3 infrastructure.
    """
    from slipway.adapters import cluster

    entry = known_service(service)
    wanted, api = _manifests(entry), _cluster()
    found = cluster.adoptable(api, wanted, service=service, managers=managers)
    for one in found:
        click.echo(plain(str(one)))
    if not any(one.managers for one in found):
        click.echo("There is nothing to take over.")
        return
    if not yes:
        click.confirm("Make these fields the releases' own?", abort=True)
    for done in cluster.adopt(api, wanted, service=service, managers=managers):
        click.echo(plain(done))
    for name in sorted({one.helm for one in found if one.helm}):
        click.echo(plain(_of_helm(entry.deploy.namespace, name)))


def _of_helm(namespace: str, name: str) -> str:
    return (
        f"Helm must not be run for its release {name} any more: `helm upgrade` would undo releases, `helm uninstall` delete "
        f"the objects. Make it forget them: kubectl delete secret -n {namespace} -l owner=helm,name={name}"
    )


def _manifests(service: Service) -> list[dict[str, Any]]:
    from slipway.release import manifests

    with reading(service.config) as repository:
        revision = repository.head(service.config.branch)
        repository.fetch(revision)
        files = repository.files(revision, service.config.manifests)
    return manifests.load(
        files,
        namespace=service.deploy.namespace,
        kinds=service.deploy.kinds,
        released=(service.deploy.deployment, service.deploy.container),
    )


def _cluster() -> ApiClient:
    from kubernetes.config import ConfigException

    from kubernetes import config
    from slipway.errors import CatalogError

    try:
        return config.new_client_from_config()
    except (ConfigException, OSError) as e:
        raise CatalogError(
            f"No cluster is known: {e}",
            code="cluster.unknown",
            remedy="Name the file of the cluster's address and your account by KUBECONFIG.",
        ) from e
