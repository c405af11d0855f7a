"""The adapters against the parts of the running sandbox; a part that is missing fails the tests."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import docker
import docker.errors
import pytest

from slipway_sandbox.images import recorded
from slipway_sandbox.lifecycle import Progress, open_sandbox, parts_of
from slipway_sandbox.part import Part, Sandbox


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """Gives the running sandbox."""
    return open_sandbox(progress=Progress(quiet=True))


@pytest.fixture(scope="session")
def parts(sandbox: Sandbox) -> dict[str, Part]:
    """Gives the parts that adapters talk to, all of them working."""
    found = parts_of(sandbox)
    for name in ("postgres", "vault", "registry", "git", "docker", "kubernetes", "packages"):
        if problem := found[name].ready():
            pytest.fail(f"part {name} of the sandbox does not work: {problem}. Run `make up`")
    return found


@pytest.fixture(scope="session")
def images(sandbox: Sandbox) -> dict[str, str]:
    """Gives the base and toolbox images by name, each by digest."""
    return recorded(sandbox)


@pytest.fixture(scope="session")
def account(sandbox: Sandbox) -> Callable[[str], tuple[str, str]]:
    """Gives user and password of the registry's `push` or `pull` account."""

    def give(name: str) -> tuple[str, str]:
        user, password = sandbox.registry_account(name)
        return user, password.read_text().strip()

    return give


@pytest.fixture(scope="session")
def engine(sandbox: Sandbox, parts: dict[str, Part]) -> Iterator[Any]:
    """Gives a client of the sandbox's engine."""
    client = docker.APIClient(base_url=sandbox.docker_host, version="auto", timeout=60)
    yield client
    client.close()


@pytest.fixture
def unique(engine: Any) -> Iterator[str]:
    """Gives a name; containers, networks, volumes and images of the engine that begin with it are removed again."""
    name = f"slipway-test-{secrets.token_hex(6)}"
    yield name
    for container in engine.containers(all=True, filters={"name": name}):
        engine.remove_container(container["Id"], force=True, v=True)
    for network in engine.networks(names=[name]):
        engine.remove_network(network["Id"])
    for volume in engine.volumes(filters={"name": name})["Volumes"] or []:
        engine.remove_volume(volume["Name"], force=True)
    for image in engine.images():
        for tag in image["RepoTags"] or []:
            if name in tag:
                with contextlib.suppress(docker.errors.ImageNotFound):
                    engine.remove_image(tag, force=True, noprune=True)
