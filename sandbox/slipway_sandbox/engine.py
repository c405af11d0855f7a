"""The Docker engine by its command line, and the one error of all that makes and keeps images."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway_sandbox.layout import SandboxError

DOCKER = (
    "/usr/bin/docker"  # Debian's docker.io: what builds do with --secret and --network is BuildKit's of 20.10
)


class ImageError(SandboxError):
    """An image cannot be built, pushed or looked up; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Engine:
    """Docker's command line, told which engine and which login by its environment."""

    environment: Mapping[str, str]

    def run(
        self,
        *arguments: str,
        check: bool = True,
        stdin: bytes | None = None,
        timeout_s: float = 600,
        output: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker ARGUMENTS`; see `run_command` for the rest."""
        subject = output.stem if output else arguments[-1]
        return run_command(
            [DOCKER, *arguments],
            f"docker {arguments[0]} {subject}",
            self.environment,
            check,
            stdin,
            timeout_s,
            output,
        )


def run_command(
    argv: Sequence[str],
    what: str,
    environment: Mapping[str, str],
    check: bool = True,
    stdin: bytes | None = None,
    timeout_s: float = 600,
    output: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs one command to its end and gives its standard output.

    :param what: what it is called in an error
    :param environment: all of its variables
    :param check: whether an exit code other than 0 is an error
    :param timeout_s: seconds after which it is killed
    :param output: file that takes both streams of a long one, in place of their being given
    :raises ImageError: it is not installed, not done in time, or failed: with its last lines
    """
    try:
        with output.open("wb") if output else tempfile.TemporaryFile() as sink:
            done = subprocess.run(
                argv,
                input=stdin,
                env=dict(environment),
                timeout=timeout_s,
                check=False,
                stdout=sink if output else subprocess.PIPE,
                stderr=subprocess.STDOUT if output else subprocess.PIPE,
            )
    except FileNotFoundError as missing:
        package = {"mmdebstrap": "mmdebstrap", "docker": "docker.io"}.get(Path(argv[0]).name, argv[0])
        raise ImageError(f"{what}: {argv[0]} is not installed: apt-get install {package}") from missing
    except subprocess.TimeoutExpired as late:
        raise ImageError(
            f"{what}: not done after {timeout_s:.0f} s" + (f", see {output}" if output else "")
        ) from late
    text = subprocess.CompletedProcess(
        argv, done.returncode, (done.stdout or b"").decode(errors="replace"), ""
    )
    if check and done.returncode:
        said = (
            output.read_text(encoding="utf-8", errors="replace")
            if output
            else (done.stderr or b"").decode(errors="replace")
        )
        last = "\n".join("  " + line[:300] for line in said.strip().splitlines()[-25:])
        where = f"; all of it is in {output}" if output else ""
        raise ImageError(f"{what} failed (exit {done.returncode}){where}. Last lines:\n{last}")
    return text


@contextmanager
def open_engine(docker_host: str, login: tuple[str, str] | None = None) -> Iterator[Engine]:
    """The engine's client with a configuration of its own: the user's is left alone.

    :param docker_host: the engine's address, e.g. `unix:///…/docker.sock`
    :param login: a registry's `host:port`, and base64 of `user:password`
    """
    with tempfile.TemporaryDirectory(prefix="slipway-docker-") as config:
        content = {"auths": {login[0]: {"auth": login[1]}}} if login else {}
        (Path(config) / "config.json").write_text(json.dumps(content), encoding="utf-8")
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "BUILDKIT_"))
        }
        yield Engine({**kept, "DOCKER_HOST": docker_host, "DOCKER_CONFIG": config, "DOCKER_BUILDKIT": "1"})
