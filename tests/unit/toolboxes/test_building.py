"""The shortest way to an image: what is there is not made again, and what is built has what it stands on."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.adapters.registry import Registry
from slipway.errors import Permanent, Transient
from slipway.toolboxes import engine as docker
from slipway.toolboxes.building import Builder, Step, Target, steps
from slipway.toolboxes.clients import PackageClients
from slipway.toolboxes.engine import Engine
from slipway.toolboxes.recipes import Recipes

REAL = Recipes.of()
NAMES = st.sets(st.sampled_from(list(REAL.bases)))
PUSHER = "registry.example.com"


@given(only=NAMES, in_registry=NAMES, in_engine=NAMES, push=st.booleans())
def test_after_the_steps_every_image_is_where_it_is_wanted(
    only: set[str], in_registry: set[str], in_engine: set[str], push: bool
) -> None:
    wanted = REAL.needed(only)
    in_registry = in_registry if push else set()  # it is not asked
    todo = steps(
        REAL,
        wanted,
        in_registry=in_registry,
        in_engine=in_engine,
        push=push,
    )
    engine, registry = set(in_engine), set(in_registry)
    for name, step in todo.items():
        if step is Step.PULL:
            assert name in registry
        if step is Step.PUSH:
            assert push
            assert name in engine
        if step is Step.BUILD:
            assert name not in in_engine | in_registry, "what is there is not built again"
            assert {base for base in REAL.bases[name].values() if base} <= engine
        engine.add(name)
        if push:
            registry.add(name)
    assert set(wanted) <= (registry if push else engine)


def test_nothing_is_done_for_what_the_registry_has() -> None:
    assert steps(REAL, REAL.needed(), in_registry=REAL.bases, in_engine=(), push=True) == {}


@dataclass
class Hub:
    """A registry and an engine in memory, that know images by their names."""

    pushed: dict[str, str] = field(default_factory=dict)
    local: set[str] = field(default_factory=set)
    ran: list[tuple[str, ...]] = field(default_factory=list)
    loses: bool = False
    refuses: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    address: str = PUSHER

    # the registry
    def digest(self, repository: str, tag: str) -> str | None:
        if self.refuses:
            raise Permanent("refused", code="registry.account-refused", remedy="of releases")
        return self.pushed.get(f"{repository}:{tag}")

    # the engine
    def held(self) -> set[str]:
        return set(self.local)

    def has(self, image: str) -> bool:
        return image in self.local

    def run(self, *arguments: str, timeout_s: float = 600) -> str:
        with self.lock:
            self.ran.append(arguments)
            match arguments:
                case ["tag", source, target]:
                    assert source in self.local
                    self.local.add(target)
                case ["push", "-q", remote] if not self.loses:
                    assert remote in self.local
                    self.pushed[remote.partition("/")[2]] = f"sha256:{len(self.pushed):064x}"
                case ["pull", "-q", ref]:
                    self.local.add(ref)
        return "1000000\n"

    def build(self, what: str, *arguments: str, log: Path, timeout_s: float) -> None:
        with self.lock:
            self.ran.append(("build", what))
            for value in (one.partition("=")[2] for one in arguments if one.startswith("BASE")):
                assert value in self.local, f"{what} is built before what it stands on"
            self.local.add(arguments[arguments.index("-t") + 1])


@pytest.fixture
def hub() -> Hub:
    return Hub(local={"debian:given"})


def builder(hub: Hub, folder: Path, said: list[str] | None = None) -> Builder:
    tell = (said if said is not None else []).append
    target = Target(cast(Registry, hub), "team/boxes")
    return Builder(REAL, cast(Engine, hub), target, folder, tell, "debian:given", PackageClients())


def test_all_are_built_pushed_and_named_by_digest_and_the_second_time_nothing_is_done(
    hub: Hub, tmp_path: Path
) -> None:
    said: list[str] = []
    found = builder(hub, tmp_path, said).ensure(REAL.needed())
    assert set(found) == set(REAL.needed())
    assert all(ref.startswith(f"{PUSHER}/team/boxes/{name}@sha256:") for name, ref in found.items())
    assert len([one for one in hub.ran if one[0] == "build"]) == len(REAL.needed())
    assert any("toolbox-scan: 1 MB, built in" in line for line in said)
    hub.ran.clear()
    assert builder(hub, tmp_path).ensure(REAL.needed()) == found
    assert hub.ran == []


def test_engine_that_lost_an_image_is_not_given_it(hub: Hub, tmp_path: Path) -> None:
    builder(hub, tmp_path).ensure(REAL.needed())
    hub.local.clear()
    hub.ran.clear()
    builder(hub, tmp_path).ensure(REAL.needed())
    assert hub.ran == []


def test_base_that_only_the_registry_has_is_pulled_for_what_is_built_upon_it(
    hub: Hub, tmp_path: Path
) -> None:
    builder(hub, tmp_path).ensure(REAL.needed(["base-python"]))
    hub.local.clear()
    hub.ran.clear()
    builder(hub, tmp_path).ensure(REAL.needed(["toolbox-python"]))
    assert [one[0] for one in hub.ran if one[0] in ("pull", "build", "push")] == ["pull", "build", "push"]


def test_what_is_not_pushed_is_named_by_its_tag_and_asks_no_registry(hub: Hub, tmp_path: Path) -> None:
    hub.refuses = True
    made = builder(hub, tmp_path)
    found = made.ensure(REAL.needed(["base-python"]), push=False)
    assert found == {name: f"slipway/{name}:{made.keys[name]}" for name in ("base-debian", "base-python")}
    assert hub.pushed == {}


def test_push_that_the_registry_does_not_know_of_is_an_error(hub: Hub, tmp_path: Path) -> None:
    hub.loses = True
    with pytest.raises(Transient, match="base-debian was pushed, but the registry does not have"):
        builder(hub, tmp_path).ensure(REAL.needed(["base-debian"]))


def test_refused_account_is_told_with_the_way_to_sign_in(hub: Hub, tmp_path: Path) -> None:
    hub.refuses = True
    with pytest.raises(Permanent) as caught:
        builder(hub, tmp_path).ensure(REAL.needed())
    assert "docker login registry.example.com" in caught.value.remedy


def test_registry_that_does_not_answer_is_told_with_the_option_for_its_certificate(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(self: Hub, repository: str, tag: str) -> None:
        raise Transient("no answer", code="registry.unreachable", remedy="of releases")

    monkeypatch.setattr(Hub, "digest", unreachable)
    with pytest.raises(Transient, match="no answer") as caught:
        builder(hub, tmp_path).ensure(REAL.needed())
    assert "--ca-file" in caught.value.remedy


@pytest.fixture
def client(tmp_path: Path) -> Callable[[str], Engine]:
    """A docker's client that is a script: gives the engine that runs it."""

    def made(script: str) -> Engine:
        program = tmp_path / "bin/docker"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        return Engine({"PATH": f"{program.parent}:/usr/bin:/bin", "DOCKER_HOST": "unix:///x"})

    return made


def test_failed_build_tells_the_step_and_where_all_of_it_is(
    client: Callable[[str], Engine], tmp_path: Path
) -> None:
    said = '#5 [2/2] RUN make\n#5 ERROR: process "make" did not complete successfully: exit code: 2\n > [2/2] RUN make:'
    with pytest.raises(Permanent, match="image x cannot be built: RUN make: process") as caught:
        client(f"cat >&2 <<'SAID'\n{said}\nSAID\nexit 1").build(
            "x", ".", log=tmp_path / "x.log", timeout_s=20
        )
    assert str(tmp_path / "x.log") in caught.value.remedy
    assert "RUN make" in (tmp_path / "x.log").read_text()


def test_client_without_buildkit_is_told_as_such(client: Callable[[str], Engine], tmp_path: Path) -> None:
    lacking = "echo 'ERROR: BuildKit is enabled but the buildx component is missing or broken.' >&2; exit 1"
    with pytest.raises(Permanent, match="has no BuildKit"):
        client(lacking).build("x", ".", log=tmp_path / "x.log", timeout_s=20)


def test_failed_push_tells_which_image_and_which_engine(client: Callable[[str], Engine]) -> None:
    with pytest.raises(
        Transient, match=r"cannot push registry/x:1: docker push ended with 1: denied"
    ) as caught:
        client("echo denied >&2; exit 1").run("push", "-q", "registry/x:1")
    assert "unix:///x" in caught.value.remedy


def test_missing_image_is_not_there(client: Callable[[str], Engine]) -> None:
    assert not client("echo; echo 'No such image' >&2; exit 1").has("x")
    assert client("echo sha256:1").has("x")


def test_login_is_for_one_registry_and_gone_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"PATH": "/usr/bin:/bin", "DOCKER_CONTEXT": "other", "BUILDX_BUILDER": "other", "KEPT": "1"}
    with docker.opened("unix:///x", PUSHER, "me", "secret", environment) as found:
        config = Path(found.environment["DOCKER_CONFIG"])
        assert PUSHER in (config / "config.json").read_text()
        assert {"DOCKER_CONTEXT", "BUILDX_BUILDER"}.isdisjoint(found.environment)
        assert found.environment["KEPT"] == "1"
        assert subprocess.run(["stat", "-c", "%a", config], capture_output=True, text=True).stdout == "700\n"
    assert not config.exists()


def test_engine_is_the_one_that_the_variable_or_the_clients_context_names(
    client: Callable[[str], Engine],
) -> None:
    assert docker.address({"DOCKER_HOST": "tcp://there:2375"}) == "tcp://there:2375"
    found = client("echo unix:///run/user/1000/docker.sock")
    path = {name: value for name, value in found.environment.items() if name == "PATH"}
    assert docker.address(path) == "unix:///run/user/1000/docker.sock"
