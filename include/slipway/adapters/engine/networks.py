"""Private networks without a way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.adapters.engine.containers import remove_container
from slipway.adapters.engine.refusals import APIClient, explained


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
    """Remove a network and whatever container is still on it; none is fine."""
    with explained(f"removing network {name}"):
        for found in networks_of(client, name):
            for container in client.inspect_network(found["Id"]).get("Containers") or {}:
                remove_container(client, container)
            client.remove_network(found["Id"])
