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
ENTRIES = """service: {name}
title: {name}
team: {name}
stack: {stack}
source: {{repository: {name}}}
config: {{repository: config/{name}}}
scan: {{dynamic: {{policy: "off", reason: only its build and tests are tried, until: 2099-01-01}}}}
image: {{repository: {name}}}
deploy: {{namespace: {name}, deployment: {name}, container: app, kinds: [Deployment]}}
verify: {{health: {{service: {name}}}}}
"""


@pytest.mark.parametrize(
    ("name", "stack", "stages", "says"),
    [
        (
            "links",
            "go",
            ("build.compile", "build.lint", "build.analyze", "test.unit"),
            "10 tests of `go test ./...`",
        ),
        ("notes", "node", ("build.compile", "build.lint", "test.unit"), "4 tests of `npm run test`"),
    ],
)
def test_example_of_another_stack_is_green_by_its_own_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, stack: str, stages: tuple[str, ...], says: str
) -> None:
    sandbox = open_sandbox(progress=Progress(quiet=True))
    monkeypatch.setenv("DOCKER_HOST", sandbox.docker_host)
    monkeypatch.setenv("SLIPWAY_PLATFORM", str(sandbox.layout.state / "platform.yaml"))
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path))
    (tmp_path / f"{name}.yaml").write_text(ENTRIES.format(name=name, stack=stack))
    copy = shutil.copytree(
        ROOT / "examples" / name, tmp_path / "copy", ignore=shutil.ignore_patterns("node_modules")
    )
    subprocess.run(["git", "-C", copy, "init", "-q"], check=True)
    asked = ("try", name, "--folder", str(copy), *(part for one in stages for part in ("--stage", one)))
    ended = CliRunner().invoke(main, asked)
    assert ended.exit_code == 0, ended.output
    assert says in ended.output


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
