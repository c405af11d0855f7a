"""The one network that pushed code may have: private, one for each job, with the package proxies on it and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipway.adapters.engine.networks import JOINED, network, networks_of
from slipway.adapters.engine.refusals import APIClient, explained
from slipway.errors import Transient


def package_network(
    client: APIClient, name: str, proxy: str, aliases: Sequence[str], labels: Mapping[str, str]
) -> None:
    """Make a private network on which the package proxies are the only neighbour; there already is fine.

    One for each job: jobs that shared one could take each other's, or the proxies', place on it.

    :param proxy: the container with the proxies; it stays on networks of other jobs, and is never removed with one.
    :param aliases: the host names that it has there.
    :raises Transient: if it does not run: a job would reach nothing.
    """
    import docker.errors

    network(client, name, {**labels, JOINED: proxy})
    with explained(f"joining {proxy} to network {name}"):
        try:
            found = client.inspect_container(proxy)
        except docker.errors.NotFound:
            found = {"State": {"Running": False}}
        if not found["State"]["Running"]:
            raise Transient(
                f"the package proxies do not run: the engine has no running container {proxy}",
                code="packages.proxy-missing",
                remedy="start them (`slipway sandbox up packages`), or see `packages.container` in the platform file",
            )
        (there,) = networks_of(client, name)
        if name not in found["NetworkSettings"]["Networks"]:
            client.connect_container_to_network(found["Id"], there["Id"], aliases=list(aliases))
