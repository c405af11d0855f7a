"""Building images with BuildKit, and whose fault it is if that fails."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from slipway import build_context, buildkit, process
from slipway.errors import Permanent, PolicyFailed, SlipwayError, Transient


def build(
    docker_url: str,
    context: IO[bytes],
    *,
    tag: str,
    dockerfile: str,
    arguments: Mapping[str, str],
    labels: Mapping[str, str],
    registry: str,
    username: str,
    password: str,
    timeout_s: float,
    log: Callable[[str], None],
) -> str:
    """Build an image with BuildKit, without network, from a commit's tar, as `docker build` builds a folder of these files.

    Gives the image's id.

    :raises PolicyFailed: if the Dockerfile or the context is at fault: then the engine answers, and says what failed.
    :raises Transient: if the engine does not answer, or cannot have the base image.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-docker-") as made:
        folder = Path(made)
        _sign_in(folder, registry, username, password)
        (folder / "context").mkdir()
        build_context.unpack(context, folder / "context")
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(_DECIDING)},
            "DOCKER_HOST": docker_url,
            "DOCKER_CONFIG": made,
            "DOCKER_BUILDKIT": "1",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # a client without buildx makes none, and knows no option for it
        }
        argv = ["docker", "build", "--progress", "plain", "--network", "none", "--tag", tag]
        argv += ["--file", str(folder / "context" / dockerfile), "--iidfile", str(folder / "id")]
        for name, value in sorted(arguments.items()):
            argv += ["--build-arg", f"{name}={value}"]
        for name, value in sorted(labels.items()):
            argv += ["--label", f"{name}={value}"]
        # the CLI writes progress to standard error: joined to standard output so that it comes back on success, too
        with (folder / "said").open("w+b") as output:
            failure = None
            try:
                process.run(
                    ["sh", "-c", 'exec "$@" 2>&1', "docker-build", *argv, str(folder / "context")],
                    timeout_s=timeout_s,
                    environment=environment,
                    stdout=output,
                )
            except Transient as e:
                failure = e
            said = _end_of(output)
        for line in said:
            log(line)
        if failure:
            raise _why(failure, said, tag, dockerfile, answers=_answers(environment)) from failure
        return (folder / "id").read_text().strip()


_DECIDING = ("BUILDKIT_", "BUILDX_", "DOCKER_CONTEXT", "DOCKER_DEFAULT_PLATFORM", "DOCKER_CONTENT_TRUST")
"""Beginnings of the variables by which a docker client builds something else, or elsewhere, than it was told."""


_SAID_LIMIT = 4_000_000
"""Bytes of a build's output that are looked at, the last: BuildKit keeps 1 MiB of each step (BUILDKIT_STEP_LOG_MAX_SIZE)."""


def _end_of(output: IO[bytes]) -> list[str]:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _SAID_LIMIT))
    if size > _SAID_LIMIT:
        output.readline()  # what is left of a line may begin with anything
    return buildkit.lines(output.read().decode(errors="replace"))


def _why(
    failure: Transient, said: Sequence[str], tag: str, dockerfile: str, *, answers: bool
) -> SlipwayError:
    last, step = said[-15:], buildkit.failed_step(said[-40:])
    fault = buildkit.fault(said)
    if not answers or fault is buildkit.Fault.ENGINE:
        return Transient(
            f"Docker engine: building {tag}: it went away, or has no room: {step or failure}",
            code="engine.gone-while-building",
            remedy="see that the engine of slipway_engine runs (`docker info`), and the room on its disk (`docker system df`)",
            lines=last,
        )
    if said and "buildx component is missing" in said[0]:
        return Permanent(
            "the worker's docker client has no BuildKit",
            code="engine.buildkit-missing",
            remedy="put Debian's /usr/bin/docker, or one with buildx, first on PATH of the workers",
            lines=last,
        )
    if fault is buildkit.Fault.BASE:
        return Transient(
            f"the image could not be built: {step}",
            code="image.base-unavailable",
            remedy="see that the registry answers the engine, and has the base images of the platform file",
            lines=last,
        )
    if isinstance(failure.__cause__, subprocess.TimeoutExpired):
        return PolicyFailed(
            f"the image is not built after {failure.__cause__.timeout:.0f} s",
            code="image.build-timed-out",
            remedy="make it quicker, or raise image.timeout_s in the catalog",
            lines=last,
        )
    return PolicyFailed(
        f"the image does not build: {step or failure}",
        code="image.build-failed",
        remedy=f"correct {dockerfile}; a build has no network and only the pinned base images",
        lines=last,
    )


def _answers(environment: Mapping[str, str]) -> bool:
    try:
        process.run(["docker", "version"], timeout_s=15, environment=environment)
    except Transient as e:
        if not e.lines:  # not installed, or no end: it has its own words
            raise
        return False
    return True


def _sign_in(folder: Path, registry: str, username: str, password: str) -> None:
    import base64

    config = folder / "config.json"
    config.touch(mode=0o600)
    auth = base64.b64encode(f"{username}:{password}".encode()).decode()
    config.write_text(json.dumps({"auths": {registry: {"auth": auth}}}))
