"""The sandbox's Docker engine by its command line, and the one error of all that makes and keeps images."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway_sandbox.layout import SandboxError

DOCKER = (
    "/usr/bin/docker"  # Debian's docker.io: what builds do with --secret and --network is BuildKit's of 20.10
)

TIMEOUT_S = 600


class ImageError(SandboxError):
    """An image cannot be built, pushed or looked up; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Engine:
    """Docker's command line, told which engine and which login by its environment."""

    environment: Mapping[str, str]

    def run(
        self, *arguments: str, check: bool = True, stdin: bytes | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker ARGUMENTS` to its end, in ten minutes at most; gives its standard output.

        :param check: whether an exit code other than 0 is an error
        :raises ImageError: it is not installed, not done in time, or failed: with its last lines
        """
        what = f"docker {arguments[0]} {arguments[-1]}"
        try:
            done = subprocess.run(
                [DOCKER, *arguments],
                input=stdin,
                env=dict(self.environment),
                timeout=TIMEOUT_S,
                check=False,
                capture_output=True,
            )
        except FileNotFoundError as missing:
            raise ImageError(f"{what}: {DOCKER} is not installed: apt-get install docker.io") from missing
        except subprocess.TimeoutExpired as late:
            raise ImageError(f"{what}: not done after {TIMEOUT_S} s") from late
        if check and done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-25:]
            last = "\n".join("  " + line[:300] for line in said)
            raise ImageError(f"{what} failed (exit {done.returncode}). Last lines:\n{last}")
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="replace"), ""
        )


def client_environment() -> dict[str, str]:
    """The environment of the product's own use of docker: Debian's client first, whatever engine this shell is set to."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    return {**kept, "PATH": f"{Path(DOCKER).parent}:{os.environ.get('PATH', '/bin')}"}


@contextmanager
def open_engine(docker_host: str) -> Iterator[Engine]:
    """The engine's client with a configuration of its own: the user's is left alone.

    :param docker_host: the engine's address, e.g. `unix:///…/docker.sock`
    """
    with tempfile.TemporaryDirectory(prefix="slipway-docker-") as config:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "BUILDKIT_"))
        }
        yield Engine({**kept, "DOCKER_HOST": docker_host, "DOCKER_CONFIG": config})
