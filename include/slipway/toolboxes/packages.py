"""The package proxies on an engine: two containers of one image, a socket between them, a bounded cache on disk.

Only `UPSTREAM` has a network with a way out, and it listens on the socket alone. `EDGE` is what jobs' private networks are
joined with, each to its own: see `slipway.adapters.engine.packages`.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from slipway.toolboxes.engine import Engine
from slipway.toolboxes.upstreams import Kind

NAME = "slipway-packages"
UPSTREAM, EDGE = f"{NAME}-upstream", f"{NAME}-edge"
SOCKET, CACHE = f"{NAME}-socket", f"{NAME}-cache"
PART, KEY = "dev.slipway.part", "dev.slipway.key"
HARDENED = (
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "64", "--memory", "256m",
    "--memory-swap", "256m", "--cpus", "1", "--restart", "unless-stopped", "--log-opt", "max-size=5m", "--log-opt", "max-file=2",
    "--tmpfs", "/tmp:size=64m",
)  # fmt: skip

ADDRESSES = {
    Kind.PYPI: "http://pypi.packages/simple/",
    Kind.NPM: "http://npm.packages/",
    Kind.GO: "http://go.packages",
    Kind.MAVEN: "http://maven.packages/",
    Kind.DEBIAN: "http://debian.packages/debian",
    Kind.DEBIAN_SECURITY: "http://debian.packages/debian-security",
}
"""Where jobs find them. npm's must be at the root of a name of its own: clients put paths of their lock files behind it."""

PROBES = {
    Kind.PYPI: ("pypi.packages", "/simple/pip/"),
    Kind.NPM: ("npm.packages", "/ms"),
    Kind.GO: ("go.packages", "/github.com/google/uuid/@v/list"),
    Kind.MAVEN: ("maven.packages", "/junit/junit/maven-metadata.xml"),
    Kind.DEBIAN: ("debian.packages", "/debian/dists/bookworm/InRelease"),
    Kind.DEBIAN_SECURITY: ("debian.packages", "/debian-security/dists/bookworm-security/InRelease"),
}
"""What each proxy is asked to see whether its upstream answers: small, and there on every index."""


def key(image: str, configuration: Mapping[str, str]) -> str:
    """Give the key of proxies: of another image or configuration they are others."""
    said = json.dumps([image, HARDENED, sorted(configuration.items())])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def up(engine: Engine, image: str, configuration: Mapping[str, str]) -> bool:
    """See to it that the proxies run as they are to be; give whether they had to be started.

    :param image: `package-proxy` by its digest.
    :param configuration: files that the upstream half reads (`upstreams.configuration`).
    :raises Transient: if the engine does not do its part.
    """
    wanted = key(image, configuration)
    there = engine.run(
        "ps", "--filter", f"label={PART}=packages", "--format", f'{{{{.Names}}}} {{{{.Label "{KEY}"}}}}'
    )
    if sorted(there.splitlines()) == sorted(f"{name} {wanted}" for name in (UPSTREAM, EDGE)):
        return False
    down(engine)
    # the edge's first network: nobody else is on it. Without an address of the machine on its bridge, as jobs' have none
    engine.run(
        "network", "create", "--internal", "--opt", "com.docker.network.bridge.inhibit_ipv4=true",
        "--label", f"{PART}=packages", NAME,
    )  # fmt: skip
    labels = ("--label", f"{PART}=packages", "--label", f"{KEY}={wanted}")
    engine.run(
        "create", "--name", UPSTREAM, "--network", "host", *HARDENED, *labels, "--volume", f"{CACHE}:/cache",
        "--volume", f"{SOCKET}:/run/packages", "--volume", "/etc/packages/upstreams", image, "upstream",
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="slipway-packages-") as folder:
        for name, text in configuration.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        # a stream, not a mount: the engine may be on another machine
        engine.run("cp", f"{folder}/.", f"{UPSTREAM}:/etc/packages/upstreams")
    engine.run("start", UPSTREAM)
    engine.run(
        "run", "--detach", "--name", EDGE, "--network", NAME, "--dns", "127.0.0.1", *HARDENED, *labels,
        "--sysctl", "net.ipv4.ip_unprivileged_port_start=0", "--volume", f"{SOCKET}:/run/packages:ro", image, "edge",
    )  # fmt: skip
    return True


def down(engine: Engine) -> None:
    """Remove the proxies and their network; what they have cached stays."""
    if names := containers(engine):
        engine.run("rm", "--force", "--volumes", *names)
    if NAME in _networks(engine):  # else its bridge would outlive the engine
        engine.run("network", "rm", NAME)


def _networks(engine: Engine) -> list[str]:
    return engine.run("network", "ls", "--format", "{{.Name}}").split()


def containers(engine: Engine) -> list[str]:
    """Give the names of their containers, running or not."""
    listed = engine.run("ps", "--all", "--filter", f"label={PART}=packages", "--format", "{{.Names}}")
    return sorted(listed.split())


def platform(kinds: Collection[Kind]) -> dict[str, str]:
    """Give the `packages` part of the platform file, for the kinds that have an upstream."""
    return {"container": EDGE, **{kind.replace("-", "_"): ADDRESSES[kind] for kind in Kind if kind in kinds}}


def status(engine: Engine, host: str = "health.packages", path: str = "/healthz") -> int:
    """Give the status with which the proxies answer, through both halves.

    :raises Transient: if they do not.
    """
    return int(engine.run("exec", EDGE, "/opt/slipway/bin/ask", host, path, timeout_s=70))
