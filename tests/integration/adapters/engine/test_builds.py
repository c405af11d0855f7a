"""Images built by a real engine, from what a commit holds."""

from __future__ import annotations

import os
import secrets
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from slipway.adapters import engine as adapter
from slipway.errors import PolicyFailed, Transient
from slipway_sandbox.part import Sandbox

WRITTEN = 1_700_000_000  # as in the tars of `tar_of`


ABROAD = "198.51.100.1"  # RFC 5737: nobody has it


Build = Callable[..., list[str]]


def test_what_was_built_is_pushed_though_another_build_took_the_tag(
    engine: Any, unique: str, sandbox: Sandbox, build: Build
) -> None:
    build("LABEL which=mine\n")
    mine = engine.inspect_image(f"{unique}:1")["Id"]
    build("LABEL which=other\n")
    assert engine.inspect_image(f"{unique}:1")["Id"] != mine
    adapter.tag(engine, mine, unique, "1")
    assert engine.inspect_image(f"{unique}:1")["Config"]["Labels"]["which"] == "mine"


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
        (b"tests\n", {"tests/test_app.py", "tests/data/keep.txt"}),
        (b"/tests/\n", {"tests/test_app.py", "tests/data/keep.txt"}),
        (b"*.pem\n", {"key.pem"}),
        (b"**/*.pem\n", {"key.pem", "src/deep/key.pem"}),
        (b"tests\n!tests/data\n", {"tests/test_app.py"}),
        (b"!tests/data\ntests\n", {"tests/test_app.py", "tests/data/keep.txt"}),
        (b"\xef\xbb\xbftests\r\n*.pem  \r\n", {"tests/test_app.py", "tests/data/keep.txt", "key.pem"}),
        (b"# tests\n  README.md\n", {"README.md"}),
        (b"\\#odd\nwith space.txt\n", {"#odd", "with space.txt"}),
        (b"*\n!src\nsrc/deep\n", ALL - {"src/app.py", "src/app.sh", "src/up"}),
        (b"src/?pp.[ps]y\nlink.txt\n", {"src/app.py", "link.txt"}),
        (b"Dockerfile\n.dockerignore\n", {"Dockerfile", ".dockerignore"}),
    ],
    ids=lambda value: value.decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_dockerignore_is_heeded_as_in_a_build_of_a_folder(
    build: Build, ignored: bytes, left_out: set[str]
) -> None:
    assert set(shown(build(show(), files={**TREE, ".dockerignore": ignored}))) == ALL - left_out


def test_dockerignore_of_the_dockerfile_itself_comes_first(build: Build) -> None:
    files = {**TREE, ".dockerignore": b"src\n", "docker/api.Dockerfile.dockerignore": b"tests\ndocker\n"}
    found = set(shown(build(show(), files=files, path="docker/api.Dockerfile")))
    assert found == {*TREE, ".dockerignore"} - {"tests/test_app.py", "tests/data/keep.txt"}


def test_dockerignore_that_is_a_link_is_heeded_as_by_hand(
    build: Build, sandbox: Sandbox, python: str, unique: str, tmp_path: Path, tar_of: Callable[..., Any]
) -> None:
    files = {**TREE, "ignored.txt": b"tests\n", ".dockerignore": "ignored.txt"}
    found = set(shown(build(show(), files=files)))
    with tarfile.open(fileobj=tar_of(files, folders=True)) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "Dockerfile").write_text(f"FROM {python}\n{show()}")
    argv = [
        "docker",
        "build",
        "--progress",
        "plain",
        "--network",
        "none",
        "--tag",
        f"{unique}:1",
        str(tmp_path),
    ]
    environment = {**os.environ, "DOCKER_HOST": sandbox.docker_host, "DOCKER_BUILDKIT": "1"}
    said = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stderr
    assert set(shown(said.splitlines())) == found
    assert "src/app.py" in found


def test_files_are_as_git_knows_them_whatever_the_workers_umask(build: Build) -> None:
    before = os.umask(0o077)
    try:
        found = shown(build(show(), files=TREE))
    finally:
        os.umask(before)
    time = str(WRITTEN)
    assert found["src/app.py"] == ("644", time, "")
    assert found["src/app.sh"] == ("755", time, "")
    assert found["src/up"] == ("777", time, "../README.md")


@pytest.mark.parametrize("ignored", [b"[\n", b"!\n", b"x" * 70_000 + b"\n"], ids=["class", "nothing", "long"])
def test_dockerignore_that_cannot_be_read_is_the_services_fault(build: Build, ignored: bytes) -> None:
    with pytest.raises(PolicyFailed, match="the image does not build"):
        build(show(), files={**TREE, ".dockerignore": ignored})


def test_dockerignore_of_many_patterns_takes_no_long_time(build: Build) -> None:
    patterns = b"".join(b"**/a*a*a*a*a*%d*b\n" % n for n in range(2_000))
    assert set(shown(build(show(), files={**TREE, "a" * 200: b"", ".dockerignore": patterns}))) >= ALL


def test_what_a_failing_step_prints_does_not_make_it_the_engines_fault(build: Build) -> None:
    said = r"dial tcp: i/o timeout\r#3 ERROR: rpc error: code = Unavailable\nunexpected EOF"
    with pytest.raises(PolicyFailed, match=r"the image does not build: RUN printf .*exit code: 7"):
        build(f"RUN printf '{said}' && exit 7\n")


def test_base_that_the_registry_does_not_have_is_the_platforms_fault(build: Build, python: str) -> None:
    gone = python.partition("@")[0] + f"@sha256:{'0' * 64}"
    with pytest.raises(Transient, match="the image could not be built"):
        build(f"FROM {gone}\n")


def test_build_has_no_network(build: Build) -> None:
    with pytest.raises(PolicyFailed) as caught:
        build(
            f"RUN python3 -c \"import socket; socket.create_connection(('{ABROAD}', 80), timeout=3)\" 2>&1\n"
        )
    assert "Network is unreachable" in "\n".join(caught.value.lines)
