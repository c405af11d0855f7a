"""The package proxies on an engine: what is asked of it, in which order."""

from typing import Any, cast

import pytest

from slipway.toolboxes import packages
from slipway.toolboxes.engine import Engine
from slipway.toolboxes.upstreams import Kind

TOLD = {"upstreams.conf": "", "ca.crt": ""}


class Docker:
    """An engine that keeps containers, each with its key, and networks; and what it was asked to do."""

    def __init__(self) -> None:
        self.containers: dict[str, str] = {}
        self.networks: list[str] = ["bridge"]
        self.did: list[str] = []

    def run(self, *arguments: str, timeout_s: float = 600) -> str:
        verb = arguments[0]
        if verb == "ps":
            shown = "" if "--all" in arguments else " {}"
            return "\n".join(name + shown.format(key) for name, key in self.containers.items())
        if arguments[:2] == ("network", "ls"):
            return "\n".join(self.networks)
        self.did.append(" ".join(arguments[:2]) if verb == "network" else verb)
        if verb in ("create", "run"):
            key = next(one for one in arguments if one.startswith(packages.KEY)).partition("=")[2]
            self.containers[arguments[arguments.index("--name") + 1]] = key
        elif verb == "rm":
            self.containers = {}
        elif verb == "network":
            (self.networks.append if arguments[1] == "create" else self.networks.remove)(arguments[-1])
        return ""


@pytest.fixture
def docker() -> Docker:
    return Docker()


def up(docker: Docker, image: str = "proxy@sha256:1") -> bool:
    return packages.up(cast(Engine, docker), image, TOLD)


STARTED = ["network create", "create", "cp", "start", "run"]


def test_what_runs_as_it_is_to_be_is_left_alone(docker: Docker) -> None:
    assert up(docker)
    assert docker.did == STARTED
    assert not up(docker)
    assert docker.did == STARTED


def test_another_image_and_half_of_a_pair_are_started_anew(docker: Docker) -> None:
    up(docker)
    docker.did.clear()
    assert up(docker, "proxy@sha256:2")
    assert docker.did == ["rm", "network rm", *STARTED]
    del docker.containers[packages.EDGE]
    docker.did.clear()
    assert up(docker, "proxy@sha256:2")
    assert docker.did == ["rm", "network rm", *STARTED]


def test_nothing_of_them_is_left_and_down_twice_is_fine(docker: Docker) -> None:
    up(docker)
    for _ in range(2):
        packages.down(cast(Engine, docker))
        assert (docker.containers, docker.networks) == ({}, ["bridge"])


def test_platform_file_names_what_has_an_upstream() -> None:
    found: dict[str, Any] = packages.platform([Kind.DEBIAN_SECURITY, Kind.NPM])
    assert list(found) == ["container", "npm", "debian_security"]
