"""`slipway try` on the running engine: a working copy through its gates, without a release."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.cli import main
from slipway_sandbox.lifecycle import Progress, open_sandbox

ENTRY = Path(__file__).parents[3] / "include/services/ai-generation.yaml"
NOTHING = "# a service that needs the standard library only\n"


ROOT = Path(__file__).parents[3]
ENTRY_OF_GO = """service: links
title: links
team: links
stack: go
source: {repository: links}
config: {repository: config/links}
scan: {dynamic: {policy: "off", reason: only its build and tests are tried, until: 2099-01-01}}
image: {repository: links}
deploy: {namespace: links, deployment: links, container: app, kinds: [Deployment]}
verify: {health: {service: links}}
"""


def test_project_of_another_stack_is_judged_by_its_own_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole releases of such projects are in e2e/test_stacks.py."""
    sandbox = open_sandbox(progress=Progress(quiet=True))
    monkeypatch.setenv("DOCKER_HOST", sandbox.docker_host)
    monkeypatch.setenv("SLIPWAY_PLATFORM", str(sandbox.layout.state / "platform.yaml"))
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path))
    (tmp_path / "links.yaml").write_text(ENTRY_OF_GO)
    copy = shutil.copytree(ROOT / "examples/links", tmp_path / "copy")
    subprocess.run(["git", "-C", copy, "init", "-q"], check=True)
    asked = ("try", "links", "--folder", str(copy), "--stage", "build.compile", "--stage", "build.lint")
    ended = CliRunner().invoke(main, asked)
    assert ended.exit_code == 0, ended.output
    assert "PASSED compile: `go build" in ended.output
    (copy / "cmd/links/main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    ended = CliRunner().invoke(main, asked[:6])
    assert ended.exit_code == 1, ended.output
    assert "undefined: undefined" in ended.output


def test_working_copy_is_judged_before_it_is_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox = open_sandbox(progress=Progress(quiet=True))
    monkeypatch.setenv("DOCKER_HOST", sandbox.docker_host)
    monkeypatch.setenv("SLIPWAY_PLATFORM", str(sandbox.layout.state / "platform.yaml"))
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path))
    text = ENTRY.read_text().replace(
        "lint: {timeout_s: 120}", "lint: {command: [ruff, check, --select, F401, .]}"
    )
    (tmp_path / "ai-generation.yaml").write_text(text)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("requirements.txt", "requirements-dev.txt"):
        (copy / name).write_text(NOTHING)
    (copy / "app.py").write_text("import os\n")
    subprocess.run(["git", "-C", copy, "init", "-q"], check=True)
    asked = (
        "try",
        "ai-generation",
        "--folder",
        str(copy),
        "--stage",
        "build.compile",
        "--stage",
        "build.lint",
    )
    ended = CliRunner().invoke(main, asked)
    assert ended.exit_code == 1, ended.output
    assert "PASSED compile: 1 files compile" in ended.output
    assert "`ruff check --select F401 .` ended with 1" in ended.output
    (copy / "app.py").write_text("VALUE = 1\n")
    assert CliRunner().invoke(main, asked).exit_code == 0
