"""Containers that run pushed code, within bounds; sidecars that are waited for."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.adapters.engine.output import log_tail
from slipway.adapters.engine.refusals import APIClient, explained
from slipway.errors import PolicyFailed

UID = 10001
"""User that pushed code runs as; the toolbox images make it."""


BOUNDS: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 512,
    "ipc_mode": "private",
}
"""What holds for every container that runs pushed code, besides memory, CPU, user and network, which the caller gives."""


SCRATCH = {"/tmp": "exec,nosuid,nodev,size=512m,mode=1777"}
"""The one place that pushed code may write to besides its reports, and run what it has written: it compiles tests there."""


def resolver(network_mode: str) -> dict[str, Any]:
    """Give the part of a host's settings by which a container on a private network knows the names of that network alone.

    dockerd asks its machine's resolver on behalf of containers on internal networks where that is on loopback (CVE-2024-29018):
    with names, words get out. And a name that is not there is not there at once, not after 20 s.
    """
    if network_mode in ("none", "host", "bridge") or network_mode.startswith("container:"):
        return {}
    return {"dns": ["127.0.0.1"], "dns_opt": ["timeout:1", "attempts:1", "ndots:0"]}


def start(
    client: APIClient,
    name: str,
    image: str,
    *,
    network_mode: str,
    command: Sequence[str] | None = None,
    aliases: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    mounts: Sequence[Any] = (),
    tmpfs: Mapping[str, str] | None = None,
    memory: str = "512m",
    cpus: float = 1.0,
    working_dir: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> None:
    """Start a container of this name with BOUNDS, removing an older one of the same name first."""
    remove_container(client, name)
    with explained(f"starting {name}"):
        networking = None
        if aliases:
            networking = client.create_networking_config(
                {network_mode: client.create_endpoint_config(aliases=list(aliases))}
            )
        created = client.create_container(
            image,
            name=name,
            command=list(command) if command else None,
            environment=dict(environment or {}),
            user=str(UID),
            working_dir=working_dir,
            networking_config=networking,
            labels=dict(labels or {}),
            host_config=client.create_host_config(
                **BOUNDS,
                **resolver(network_mode),
                mounts=list(mounts),
                tmpfs=dict(tmpfs or {}),
                network_mode=network_mode,
                mem_limit=memory,
                nano_cpus=int(cpus * 1e9),
                log_config={"Type": "json-file", "Config": {"max-size": "5m", "max-file": "1"}},
            ),
        )
        client.start(created["Id"])


def remove_container(client: APIClient, name: str) -> None:
    """Remove a container and its anonymous volumes, running or not; none is fine."""
    import docker.errors

    with explained(f"removing container {name}"):
        try:
            client.remove_container(name, force=True, v=True)
        except docker.errors.NotFound:
            pass
        except docker.errors.APIError as e:
            if e.status_code != 409:  # 409: another removal is under way
                raise


def wait_exit(client: APIClient, name: str, timeout_s: float) -> int:
    """Give the exit code of a container, waiting ``timeout_s`` at most (then it is killed, and 124 is given)."""
    import requests

    with explained(f"waiting for {name}"):
        try:
            return int(client.wait(name, timeout=timeout_s)["StatusCode"])
        except (requests.exceptions.ReadTimeout, requests.exceptions.ConnectionError):
            client.kill(name)
            return 124


def _probed(client: APIClient, name: str, probe: Sequence[str]) -> tuple[int | None, str]:
    """Run a command in a container once; give its exit code and what it said. Without a code it was not run."""
    import docker.errors

    try:
        probed = client.exec_create(name, list(probe))["Id"]
        answer = client.exec_start(probed).decode(errors="replace").strip()
        return client.exec_inspect(probed)["ExitCode"], answer
    except docker.errors.APIError as e:
        if e.status_code not in (
            404,
            409,
        ):  # the container has ended meanwhile, or its end took the command with it
            raise
        return None, str(e.explanation)


def wait_until(client: APIClient, name: str, probe: Sequence[str], timeout_s: float) -> None:
    """Run ``probe`` in a container until it succeeds.

    :raises PolicyFailed: if the container ends, or the probe still fails after ``timeout_s``; with its last log lines.
    """
    deadline = time.monotonic() + timeout_s
    with explained(f"waiting for {name}"):
        while True:
            if not client.inspect_container(name)["State"]["Running"]:
                said = log_tail(client, name)
                raise PolicyFailed(
                    f"{name} ended by itself before it was ready: {said[-1] if said else 'it says nothing'}",
                    code="gate.sidecar-ended",
                    lines=said[:-1],
                )
            exit_code, answer = _probed(client, name, probe)
            if exit_code == 0:
                return
            if time.monotonic() > deadline:
                raise PolicyFailed(
                    f"{name} is not ready after {timeout_s:.0f} s: {answer[-300:]}",
                    code="gate.sidecar-not-ready",
                    lines=log_tail(client, name),
                )
            time.sleep(0.2)
