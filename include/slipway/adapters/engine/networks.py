"""Private networks without a way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.adapters.engine.containers import remove_container
from slipway.adapters.engine.refusals import APIClient, explained

JOINED = "slipway.joined"
"""Label of a network with the name of a container that is on it, and on others: it leaves when the network goes."""


def network(client: APIClient, name: str, labels: Mapping[str, str]) -> None:
    """Make a private network without a way out; there already is fine.

    `internal` alone leaves the bridge an address of the machine, which is the containers' default route: they would reach
    every server of the machine that listens beyond loopback. So the bridge gets none.
    """
    with explained(f"making network {name}"):
        if not networks_of(client, name):
            client.create_network(
                name,
                driver="bridge",
                internal=True,
                options={"com.docker.network.bridge.inhibit_ipv4": "true"},
                labels=dict(labels),
                check_duplicate=True,
            )


def networks_of(client: APIClient, name: str) -> list[dict[str, Any]]:
    """Give the networks of exactly this name, which the engine takes for a pattern."""
    return [one for one in client.networks(names=[name]) if one["Name"] == name]


def remove_network(client: APIClient, name: str) -> None:
    """Remove a network and whatever container is still on it, but for one that is only joined to it; none is fine."""
    with explained(f"removing network {name}"):
        for found in networks_of(client, name):
            joined = (found["Labels"] or {}).get(JOINED)
            on_it = client.inspect_network(found["Id"]).get("Containers") or {}
            for container, endpoint in on_it.items():
                if endpoint["Name"] == joined:
                    client.disconnect_container_from_network(container, found["Id"], force=True)
                else:
                    remove_container(client, container)
            client.remove_network(found["Id"])
