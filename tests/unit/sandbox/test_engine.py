"""A command of docker's that fails tells why, and what to do."""

from pathlib import Path

import pytest

from slipway_sandbox import engine
from slipway_sandbox.engine import Engine, ImageError


def test_failed_command_tells_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\necho the reason >&2; exit 3\n")
    program.chmod(0o755)
    monkeypatch.setattr(engine, "DOCKER", str(program))
    with pytest.raises(ImageError, match=r"(?s)docker volume x failed \(exit 3\).*the reason"):
        Engine({}).run("volume", "rm", "x")
    assert Engine({}).run("volume", "rm", "x", check=False).returncode == 3


def test_missing_client_is_told_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "DOCKER", str(tmp_path / "docker"))
    with pytest.raises(ImageError, match=r"apt-get install docker\.io"):
        Engine({}).run("info")
