"""Images built by a real builder, from what a commit holds."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, Any

import pytest

from slipway.adapters import engine as adapter
from slipway.adapters.engine import builds
from slipway.catalog.platform import Packages
from slipway.errors import PolicyFailed

LABELS = {"slipway": "test"}


pytestmark = pytest.mark.xdist_group("builder")

Build = Callable[..., tuple[adapter.Made, list[str]]]


def test_failing_build_names_the_failing_line(build: Build) -> None:
    with pytest.raises(PolicyFailed) as caught:
        build("RUN echo looked-for-something && exit 7\n")
    assert "echo looked-for-something && exit 7" in caught.value.message
    assert "looked-for-something" in "\n".join(caught.value.lines)


@pytest.mark.parametrize(
    "words",
    [
        "rpc error: code = Unavailable desc = error reading from server: EOF",
        "dial tcp 10.0.0.1:5000: i/o timeout",
        "unexpected EOF",
    ],
)
def test_failing_step_is_the_dockerfiles_fault_whatever_it_prints(build: Build, words: str) -> None:
    with pytest.raises(PolicyFailed, match="does not build"):
        build(f"RUN echo '{words}'; exit 1\n")
    with pytest.raises(PolicyFailed, match="does not build"):
        build(f"RUN echo '{words}'\nCOPY nothing-here /\n")


TREE: dict[str, bytes | str] = {
    name: name.encode()
    for name in (
        "README.md",
        "key.pem",
        "src/app.py",
        "src/app.sh",
        "src/deep/key.pem",
        "src/deep/README.md",
        "tests/test_app.py",
        "tests/data/keep.txt",
        "with space.txt",
        "#odd",
    )
} | {"link.txt": "src/app.py", "src/up": "../README.md"}


ALL = {*TREE, ".dockerignore", "Dockerfile"}


def show() -> str:
    """Give instructions that tell what of the context came, each time anew."""
    tell = r"find . ! -type d -printf '%P|%m|%T@|%l\n'"
    return f"COPY . /context\nRUN cd /context && : {secrets.token_hex(4)} && {tell} | sort\n"


def shown(said: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Give what show() found: mode, time and the link's target of each file."""
    rows = [line.partition(" ")[2].partition(" ")[2].split("|") for line in said if line.count("|") == 3]
    return {name: (mode, written.partition(".")[0], to) for name, mode, written, to in rows}


@pytest.mark.parametrize(
    ("ignored", "left_out"),
    [
        (b"", set()),
        (
            b"\xef\xbb\xbftests\r\n!tests/data\n**/*.pem  \r\n",
            {"tests/test_app.py", "key.pem", "src/deep/key.pem"},
        ),
        (b"*\n!src\nsrc/deep\n", ALL - {"src/app.py", "src/app.sh", "src/up"}),
    ],
    ids=["none", "some", "all but"],
)
def test_dockerignore_is_heeded_as_in_a_build_of_a_folder(
    build: Build, ignored: bytes, left_out: set[str]
) -> None:
    _, said = build(show(), files={**TREE, ".dockerignore": ignored})
    assert set(shown(said)) == ALL - left_out


def test_dockerignore_of_the_dockerfile_itself_comes_first(build: Build) -> None:
    files = {**TREE, ".dockerignore": b"src\n", "docker/api.Dockerfile.dockerignore": b"tests\ndocker\n"}
    _, said = build(show(), files=files, path="docker/api.Dockerfile")
    found = set(shown(said))
    assert found == {*TREE, ".dockerignore"} - {"tests/test_app.py", "tests/data/keep.txt"}


def test_files_are_as_git_knows_them_whatever_the_workers_umask(build: Build) -> None:
    before = os.umask(0o077)
    try:
        found = shown(build(show(), files=TREE)[1])
    finally:
        os.umask(before)
    time = str(builds.MADE_AT)
    assert found["src/app.py"] == ("644", time, "")
    assert found["src/app.sh"] == ("755", time, "")
    assert found["src/up"] == ("777", time, "../README.md")


def test_what_a_failing_step_prints_does_not_make_it_the_engines_fault(build: Build) -> None:
    said = r"dial tcp: i/o timeout\r#3 ERROR: rpc error: code = Unavailable\nunexpected EOF"
    with pytest.raises(PolicyFailed, match=r"the image does not build: RUN printf .*exit code: 7"):
        build(f"RUN printf '{said}' && exit 7\n")


def test_idiomatic_dockerfile_gets_its_packages(build: Build) -> None:
    """With a syntax line, a here-document, a cache, a stage and users of its own, Debian's packages, and one without a wheel."""
    begins = "# syntax=docker/dockerfile:1\nFROM docker.io/library/python:3.11-slim AS built\n"
    text = (
        "RUN --mount=type=cache,target=/root/.cache/pip pip install --prefix=/built pypika==0.48.9\n"
        "FROM python:3.11-slim\n"
        "RUN apt-get update && apt-get install -y --no-install-recommends jq && rm -rf /var/lib/apt/lists/*\n"
        "COPY --from=built /built /usr/local\n"
        f"RUN <<EOF\n: {secrets.token_hex(4)}\n"
        "useradd --uid 1234 app\nchown app /srv\nstat -c owned-by-%u /srv\npython -c 'import pypika'\nEOF\n"
    )
    made, said = build(text, begins=begins)
    assert any(line.endswith("owned-by-1234") for line in said)
    assert build(text, begins=begins)[0] == made


def test_layers_that_a_commit_does_not_change_are_the_same_and_are_not_made_again(build: Build) -> None:
    """Of two commits that differ in one file alone, copied last; the first step makes a folder, which has a time."""
    text = f"WORKDIR /app\nRUN date +%N > made-{secrets.token_hex(4)}\nCOPY a .\nCOPY b .\nLABEL a=b\n"
    one, _ = build(text, files={"a": b"same", "b": b"first!"})
    other, said = build(text, files={"a": b"same", "b": b"second"})
    assert (one.layers[:-1], len(one.layers)) == (other.layers[:-1], len(other.layers))
    assert one.layers[-1] != other.layers[-1]
    assert one.config["config"]["Labels"].items() >= {"a": "b", "test": "what=ever, it is"}.items()
    assert sum(line.endswith(" CACHED") for line in said) >= 3


def test_target_and_folder_are_what_was_asked_for(
    build: Build, python: str, tar_of: Callable[..., IO[bytes]]
) -> None:
    begins = "FROM slipway-wheels AS w\nFROM python:3.11-slim AS one\n"
    step = f"RUN : {secrets.token_hex(4)}; cat /a\n"
    text = f"COPY --from=w /wheels/a.whl /a\n{step}FROM nobody/has:this AS two\n"
    wheels = iter([tar_of({"wheels/a.whl": b"what-is-in-it"}).read()])
    _, said = build(text, begins=begins, target="one", folders={"slipway-wheels": wheels})
    assert any(line.endswith(" what-is-in-it") for line in said)


def test_name_that_is_not_handed_to_it_cannot_be_had(build: Build) -> None:
    with pytest.raises(PolicyFailed, match=r"does not build: .*nobody/has:this"):
        build("", begins="FROM nobody/has:this\n")


def test_without_proxies_a_build_has_no_network(build: Build, place: adapter.Place) -> None:
    with pytest.raises(PolicyFailed, match="does not build"):
        build(
            "RUN pip download pypika\n",
            begins="FROM python:3.11-slim\n",
            at=replace(place, proxy=None, hosts=()),
        )


EAT = 'python3 -c "b = [bytearray(1 << 20) for _ in range(8000)]"'
FORK = "python3 -c \"import subprocess as s; [s.Popen(['sleep', '9']) for _ in range(4000)]\""


@pytest.mark.parametrize(
    ("script", "timeout_s", "code", "says"),
    [
        (EAT, 120, "image.build-failed", "exit code: 137; a build has 3g of memory"),
        (FORK, 120, "image.build-failed", "exit code: 1"),
        ("sleep 60", 3, "image.build-timed-out", "not built after 3 s"),
    ],
    ids=["memory", "processes", "time"],
)
def test_build_ends_at_its_bounds(build: Build, script: str, timeout_s: float, code: str, says: str) -> None:
    with pytest.raises(PolicyFailed, match=says) as caught:
        build(f"RUN : {secrets.token_hex(4)} && {script}\n", timeout_s=timeout_s)
    assert caught.value.code == code


def test_build_that_takes_too_much_disk_is_ended_and_what_was_kept_is_gone(
    engine: Any, build: Build, place: adapter.Place, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "DISK_GB", 0)
    with pytest.raises(PolicyFailed, match="takes more than 0 GB"):
        build("RUN sleep 60\n", at=replace(place, name=f"{unique}-own"))
    assert not engine.volumes(filters={"name": f"{unique}-own"})["Volumes"]


def test_what_a_killed_worker_left_is_removed_and_nothing_is_left(
    engine: Any, build: Build, place: adapter.Place, packages: Packages
) -> None:
    adapter.package_network(engine, place.name, packages.container, packages.hosts, LABELS)
    adapter.start(engine, place.name, place.image, network_mode=place.name)
    build("RUN true\n")
    assert not engine.containers(all=True, filters={"name": place.name})
    assert not adapter.networks_of(engine, place.name)


def test_builder_has_no_privilege_no_socket_and_no_login(
    engine: Any, build: Build, place: adapter.Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    ready = builds._ready

    def look(client: Any, name: str) -> None:
        ready(client, name)
        seen.append(client.inspect_container(name))

    monkeypatch.setattr(builds, "_ready", look)
    _, said = build(
        f"USER 0\nRUN : {secrets.token_hex(4)}; cat /proc/self/uid_map; "
        "unshare --mount true 2>&1; mount -t tmpfs x /mnt 2>&1 || true\n"
    )
    [found] = seen
    host, config = found["HostConfig"], found["Config"]
    assert (host["Privileged"], host["CapDrop"], host["CapAdd"]) == (False, ["ALL"], ["SETUID", "SETGID"])
    assert (host["ReadonlyRootfs"], host["PidsLimit"], host["Devices"]) == (True, 2048, None)
    assert (config["User"], host["NetworkMode"]) == ("10003", place.name)
    assert {one["Type"] for one in found["Mounts"]} <= {"volume", "tmpfs"}
    assert not [one for one in config["Env"] if "PASS" in one or "TOKEN" in one]
    told = [" ".join(line.split()[2:]) for line in said]
    assert "0 10003 1" in told  # root there is nobody's user here
    assert sum("Operation not permitted" in line or "permission denied" in line for line in told) == 2
