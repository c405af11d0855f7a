"""What a new repository begins with."""

import subprocess
from pathlib import Path

import pytest

from slipway_sandbox.parts.git import begin

ROOT = Path(__file__).parents[3]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """Gives an empty repository, whose hooks would tell that they ran."""
    folder = tmp_path / "bare.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "trunk", str(folder)], check=True, timeout=30)
    for name in ("update", "post-receive"):
        hook = folder / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        hook.chmod(0o755)
    return folder


def test_example_is_the_first_commit_and_no_hook_runs(bare: Path, tmp_path: Path) -> None:
    example = tmp_path / "example"
    (example / "src/__pycache__").mkdir(parents=True)
    (example / "src/__pycache__/a.pyc").touch()
    (example / "src/a.py").write_text("a = 1\n")
    (example / ".gitignore").write_text("left\n")
    (example / "left").touch()
    begin(bare, example, "trunk")
    assert git(bare, "ls-tree", "-r", "--name-only", "trunk").split() == [".gitignore", "src/a.py"]
    assert git(bare, "log", "--format=%an: %s", "trunk") == "Slipway sandbox: Begin with the example"
    assert not (tmp_path / "ran").exists()


def test_every_service_that_has_an_example_begins_as_what_is_committed(bare: Path) -> None:
    for name in ("prompt-library", "prompt-library-config", "ai-generation", "ai-generation-config"):
        begin(bare, ROOT / "examples" / name, name)
        listed = ("ls-files", "--cached", "--others", "--exclude-standard")
        wanted = git(ROOT, *listed, f"examples/{name}").replace(f"examples/{name}/", "").split()
        assert git(bare, "ls-tree", "-r", "--name-only", name).split() == sorted(wanted)
