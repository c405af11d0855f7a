"""Docker's client for building, pushing and pulling images, with a login of its own: the user's configuration is left alone."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway import buildkit, process
from slipway.errors import Permanent, Transient

_DECIDING = (
    "BUILDKIT_",
    "BUILDX_",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_DEFAULT_PLATFORM",
    "DOCKER_CONTENT_TRUST",
)
"""Beginnings of the variables by which the client builds something else, or elsewhere, than it was told."""


@dataclass(frozen=True)
class Engine:
    """An engine as docker's client reaches it.

    :param environment: all variables of the client: they say which engine, which login, and by PATH which client.
    """

    environment: Mapping[str, str]

    def run(self, *arguments: str, timeout_s: float = 600) -> str:
        """Give what `docker ARGUMENTS` says.

        :raises Transient: if it fails; with what it was about, its last argument.
        """
        try:
            said = process.run(["docker", *arguments], timeout_s=timeout_s, environment=self.environment)
        except Transient as failure:
            raise Transient(
                f"docker cannot {arguments[0]} {arguments[-1]}: {failure.message}",
                code="toolboxes.engine-failed",
                remedy=f"see that the engine at {self.environment.get('DOCKER_HOST')} runs (`docker info`), has room "
                "(`docker system df`), and trusts the registry's certificate (/etc/docker/certs.d)",
                lines=failure.lines,
            ) from failure
        return said.decode(errors="replace")

    def has(self, image: str) -> bool:
        """Tell whether it has an image; one that does not answer has none."""
        asked = ["docker", "image", "inspect", "--format", "{{.Id}}", image]
        return bool(process.run(asked, timeout_s=60, environment=self.environment, ok=(0, 1)).strip())

    def held(self) -> set[str]:
        """Give the names of its images, by tag and by digest."""
        listed = self.run(
            "image", "ls", "--digests", "--no-trunc",
            "--format", "{{.Repository}}:{{.Tag}} {{.Repository}}@{{.Digest}}",
        )  # fmt: skip
        return set(listed.split())

    def build(self, what: str, *arguments: str, log: Path, timeout_s: float) -> None:
        """Build an image; all that the build says goes into the file `log`.

        :param what: the image as errors call it.
        :raises Permanent: if it cannot be built; with the step that failed and the last lines.
        """
        try:
            with log.open("wb") as output:  # the client writes its progress to standard error
                process.run(
                    ["sh", "-c", 'exec "$@" 2>&1', "docker-build", "docker", "build", "--progress", "plain", *arguments],
                    timeout_s=timeout_s,
                    environment=self.environment,
                    stdout=output,
                )  # fmt: skip
        except Transient as failure:
            said = buildkit.lines(log.read_text(encoding="utf-8", errors="replace"))
            if any("buildx component is missing" in line for line in said[:3]):
                raise Permanent(
                    "docker's client on this machine has no BuildKit",
                    code="toolboxes.no-buildkit",
                    remedy="put Debian's /usr/bin/docker, or one with buildx, first on PATH",
                    lines=said[-5:],
                ) from failure
            raise Permanent(
                f"image {what} cannot be built: {buildkit.failed_step(said[-40:]) or failure.message}",
                code="toolboxes.build-failed",
                remedy=f"see all of it in {log}; if an index or a mirror did not answer, run the command again: what is "
                "built stays built",
                lines=said[-15:],
            ) from failure


@contextmanager
def opened(
    docker_host: str, registry: str, username: str, password: str, environment: Mapping[str, str] = os.environ
) -> Iterator[Engine]:
    """Give the engine's client, signed in at one registry, for as long as it is needed.

    :param docker_host: the engine's address, such as `unix:///var/run/docker.sock`.
    :param registry: `host[:port]`; an empty user name is nobody.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-docker-") as config:
        login = base64.b64encode(f"{username}:{password}".encode()).decode()
        content = {
            "auths": {registry: {"auth": login}} if username else {},
            "cliPluginsExtraDirs": [str(Path.home() / ".docker/cli-plugins")],
        }
        (Path(config) / "config.json").write_text(json.dumps(content), encoding="utf-8")
        kept = {name: value for name, value in environment.items() if not name.startswith(_DECIDING)}
        yield Engine(
            {
                **kept,
                "DOCKER_HOST": docker_host,
                "DOCKER_CONFIG": config,
                "DOCKER_BUILDKIT": "1",
                "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # one image, not an index of it and its provenance
            }
        )


def address(environment: Mapping[str, str] = os.environ) -> str:
    """Give the engine's address as docker's own client knows it: DOCKER_HOST, or that of its context.

    :raises Transient: if there is no client, or it does not say.
    """
    if given := environment.get("DOCKER_HOST"):
        return given
    asked = ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"]
    return process.run(asked, timeout_s=30, environment=environment).decode().strip()
