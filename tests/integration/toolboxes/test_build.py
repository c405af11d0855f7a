"""`slipway toolboxes build` on the sandbox: built, pushed below a prefix of its own, pulled by digest."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from slipway.adapters.registry import Registry
from slipway.toolboxes.recipes import FOLDER
from slipway_sandbox.engine import DOCKER
from slipway_sandbox.lifecycle import Progress, open_sandbox
from slipway_sandbox.part import Sandbox

LISTED = '[tool-tiny]\nBASE = ""\n[tool-upon]\nBASE = "tool-tiny"\n'
TINY = "ARG BASE\nFROM ${BASE}\nRUN --mount=type=bind,source=shared/build,target=/mnt cp /mnt/word /word && [ ! -e /mnt/.left ]\n"
UPON = 'ARG BASE\nFROM ${BASE}\nCMD ["cat", "/word"]\n'


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    return open_sandbox(progress=Progress(quiet=True))


@pytest.fixture
def registry(sandbox: Sandbox) -> Registry:
    user, password = sandbox.registry_account("push")
    return Registry(sandbox.registry, user, password.read_text().strip(), Path(sandbox.registry_ca))


@pytest.fixture
def prefix(engine: Any, registry: Registry) -> Iterator[str]:
    """A prefix of the registry that is this test's alone; what is below it goes."""
    made = f"test-{uuid.uuid4().hex[:8]}/boxes"
    yield made
    for name in ("tool-tiny", "tool-upon", "base-debian", "base-python"):
        for tag in registry.tags(f"{made}/{name}"):
            if digest := registry.digest(f"{made}/{name}", tag):
                registry.delete(f"{made}/{name}", digest)
    said = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").stdout.decode().split()
    ours = [name for name in said if made in name or name.startswith("slipway/tool-")]
    if ours:
        engine.docker("image", "rm", "-f", *ours, check=False)


@pytest.fixture
def recipes(tmp_path: Path) -> Path:
    """A folder of two small toolboxes, one upon the other, of content that nobody built before."""
    for path, text in {
        "images.toml": LISTED,
        "tool-tiny/Dockerfile": TINY,
        "tool-upon/Dockerfile": UPON,
        "shared/build/word": uuid.uuid4().hex,
        "shared/build/.left": "by a tool",
        ".dockerignore": (FOLDER / ".dockerignore").read_text(),
    }.items():
        (tmp_path / "toolboxes" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toolboxes" / path).write_text(text)
    return tmp_path / "toolboxes"


def build(sandbox: Sandbox, cache: Path, address: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    user, password = sandbox.registry_account("push")
    environment = {
        **os.environ,
        "DOCKER_HOST": sandbox.docker_host,
        "PATH": f"{Path(DOCKER).parent}:{os.environ['PATH']}",
        "SLIPWAY_CACHE": str(cache),
    }
    account = ["--username", user, "--password-file", str(password), "--ca-file", str(sandbox.registry_ca)]
    return subprocess.run(
        [Path(sys.executable).with_name("slipway"), "toolboxes", "build", "--registry", address, *account, *arguments],
        env=environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip


def test_toolboxes_are_built_pushed_and_pulled_by_digest(
    sandbox: Sandbox, engine: Any, registry: Registry, prefix: str, recipes: Path, tmp_path: Path
) -> None:
    address, base = f"{sandbox.registry}/{prefix}", engine.images["base-debian"]
    arguments = ("--folder", str(recipes), "--base-image", base)
    built = build(sandbox, tmp_path, address, *arguments, "--no-push", "--json")
    assert built.returncode == 0, built.stderr
    local = json.loads(built.stdout)["images"]["tool-upon"]
    assert local.startswith("slipway/tool-upon:")
    assert registry.tags(f"{prefix}/tool-upon") == [], "nothing is pushed"
    assert "image tool-tiny: building" in built.stderr

    platform = tmp_path / "platform.yaml"
    platform.write_text("# ours\nimages:\n  base-python: old@sha256:1 # kept\n")
    pushed = build(sandbox, tmp_path, address, *arguments, "--write", str(platform))
    assert pushed.returncode == 0, pushed.stderr
    images = yaml.safe_load(platform.read_text())["images"]
    assert platform.read_text().startswith("# ours\nimages:\n  base-python: old@sha256:1 # kept\n")
    ref = images["tool-upon"]
    assert ref.startswith(f"{address}/tool-upon@sha256:")
    assert registry.digest(f"{prefix}/tool-upon", local.partition(":")[2]) == ref.partition("@")[2]
    found = registry.image(f"{prefix}/tool-upon", ref.partition("@")[2])
    assert found
    assert found.is_single, "what is pushed is one image, without attestations"

    # as an engine gets it that has never seen it
    engine.docker("image", "rm", "-f", local, f"{address}/tool-upon:{local.partition(':')[2]}")
    config = tmp_path / "docker"
    config.mkdir()
    login = ["--config", str(config), "login", sandbox.registry, "-u", registry.username, "--password-stdin"]
    engine.docker(*login, stdin=registry.password.encode())
    engine.docker("--config", str(config), "pull", "-q", ref)
    said = engine.docker("run", "--rm", "--network", "none", ref).stdout.decode()
    assert said == (recipes / "shared/build/word").read_text()

    # a second time there is nothing to do, and the engine need not have it
    again = build(sandbox, tmp_path, address, *arguments, "--json")
    assert json.loads(again.stdout)["images"]["tool-upon"] == ref
    assert again.stderr == ""


def test_one_of_slipways_own_is_pushed_with_what_it_stands_on(
    sandbox: Sandbox, engine: Any, registry: Registry, prefix: str, tmp_path: Path
) -> None:
    address = f"{sandbox.registry}/{prefix}"
    for name in (
        "base-debian",
        "base-python",
    ):  # as on a machine that has built them: nothing is to be built here
        ref = engine.images[name]
        keys = [one for one in registry.tags(f"slipway/{name}") if not one.startswith("renews-")]
        digest = ref.partition("@")[2]
        [key] = [one for one in keys if registry.digest(f"slipway/{name}", one) == digest]
        engine.docker("tag", ref, f"slipway/{name}:{key}")
    found = build(sandbox, tmp_path, address, "--only", "base-python")
    assert found.returncode == 0, found.stderr
    images = yaml.safe_load(found.stdout)["images"]
    assert set(images) == {"base-debian", "base-python"}
    # the same content as the sandbox's own has the same layers, whoever names it
    layers = [
        engine.docker("image", "inspect", "--format", "{{json .RootFS.Layers}}", ref).stdout
        for ref in (images["base-python"], engine.images["base-python"])
    ]
    assert layers[0] == layers[1]


def test_image_that_cannot_be_built_is_named_with_its_step_and_nothing_is_pushed(
    sandbox: Sandbox, engine: Any, registry: Registry, prefix: str, recipes: Path, tmp_path: Path
) -> None:
    (recipes / "tool-upon/Dockerfile").write_text(UPON + "RUN echo the reason && exit 7\n")
    base = engine.images["base-debian"]
    found = build(
        sandbox, tmp_path, f"{sandbox.registry}/{prefix}", "--folder", str(recipes), "--base-image", base
    )
    assert found.returncode == 3
    assert "image tool-upon cannot be built: RUN echo the reason && exit 7" in found.stderr
    assert "the reason" in (tmp_path / "images/tool-upon.log").read_text()
    assert str(tmp_path / "images/tool-upon.log") in found.stderr
    assert registry.tags(f"{prefix}/tool-upon") == []
    assert found.stdout == ""
