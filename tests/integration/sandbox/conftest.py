"""The running sandbox; a part that is missing fails the tests."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway_sandbox.lifecycle import Progress, open_sandbox, parts_of
from slipway_sandbox.part import Part, Sandbox

Git = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    return open_sandbox(progress=Progress(quiet=True))


@pytest.fixture(scope="session")
def parts(sandbox: Sandbox) -> dict[str, Part]:
    found = parts_of(sandbox)
    for name in ("postgres", "vault", "registry", "git", "docker", "airflow"):
        if problem := found[name].ready():
            pytest.fail(f"part {name} of the sandbox does not work: {problem}. Run `make up`")
    return found


@pytest.fixture
def password(sandbox: Sandbox) -> Callable[[str], str]:
    return lambda name: (sandbox.layout.credentials / name).read_text().strip()


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """`git` in a fresh repository with one commit."""

    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        identity = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
        command = ["git", *identity, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    run("init", "--quiet", "--initial-branch=main")
    run("commit", "--quiet", "--allow-empty", "--message", "First")
    return run
