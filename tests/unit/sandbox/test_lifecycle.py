"""`down` touches nothing of another sandbox; a takeover is told; what a command was ended in is known."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from slipway_sandbox import leftovers, lifecycle
from slipway_sandbox.layout import SETUP_VARIABLE, Layout, SandboxError
from slipway_sandbox.part import Part, Sandbox
from slipway_sandbox.supervisor import Supervisor


class Untouchable(Part):
    """A part that must not be cleaned away."""

    name = "network"

    def clean(self) -> None:
        raise AssertionError("what the machine has of the other sandbox was taken away")


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def sandbox(tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    layout = Layout(tmp_path / "state", tmp_path / "cache", tmp_path / "mine")
    layout.create()
    machine = tmp_path / "run"
    monkeypatch.setattr(lifecycle, "MACHINE_DIR", machine)
    monkeypatch.setattr(lifecycle, "MARKER", machine / "sandbox.json")
    (machine / "registry").mkdir(parents=True)
    return Sandbox(layout, Supervisor(layout), [], {}, lambda part, text: said.append(text))


def test_down_leaves_everything_of_a_sandbox_that_lives_elsewhere(
    sandbox: Sandbox, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Path("/other/state")
    lifecycle.MARKER.write_text(json.dumps({"state": str(other), "checkout": "/other"}))
    monkeypatch.setattr(leftovers, "sandboxes", lambda: {other: 4711})
    monkeypatch.setattr(
        lifecycle,
        "parts_of",
        lambda sandbox: dict.fromkeys(("network", "docker", "kubernetes"), Untouchable(sandbox)),
    )
    assert lifecycle.down(sandbox) == []
    assert (lifecycle.MACHINE_DIR / "registry").is_dir()
    assert lifecycle.MARKER.is_file()
    assert any("/other/state (process 4711)" in line for line in said)


def test_what_a_dead_one_left_is_cleared_without_taking_the_network_of_the_one_that_lives(
    sandbox: Sandbox, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.MARKER.write_text(json.dumps({"state": str(sandbox.layout.state), "checkout": "/mine"}))
    monkeypatch.setattr(leftovers, "sandboxes", lambda: {Path("/dead/state"): None})
    monkeypatch.setattr(leftovers, "end_processes", lambda state, patience_s: 3)
    monkeypatch.setattr(Supervisor, "pid", lambda self: 4711)
    monkeypatch.setattr(
        lifecycle,
        "parts_of",
        lambda sandbox: dict.fromkeys(("network", "docker", "kubernetes"), Untouchable(sandbox)),
    )
    lifecycle.clear_machine(sandbox)
    assert any(line.startswith("cleared 3 processes") and "/dead/state" in line for line in said)
    assert lifecycle.MARKER.is_file()


def test_up_from_another_checkout_says_whose_code_runs_before_and_after(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = {"state": str(sandbox.layout.state), "checkout": "/home/ann/slipway"}
    lifecycle.MARKER.write_text(json.dumps(marker))
    assert lifecycle.tell_whose_code(sandbox) is None  # nothing runs: nothing is taken over
    monkeypatch.setattr(Supervisor, "pid", lambda self: 4711)
    told = lifecycle.tell_whose_code(sandbox) or ""
    assert "code of /home/ann/slipway until now" in told
    assert f"those of {sandbox.layout.checkout} " in told
    lifecycle.MARKER.write_text(json.dumps({**marker, "checkout": str(sandbox.layout.checkout)}))
    assert lifecycle.tell_whose_code(sandbox) is None


def test_what_a_command_runs_carries_its_mark_only_while_it_works(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SETUP_VARIABLE, raising=False)
    with lifecycle.working(sandbox):
        assert os.environ[SETUP_VARIABLE] == str(sandbox.layout.state)
    assert SETUP_VARIABLE not in os.environ


def test_command_that_still_works_is_waited_for(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path, tmp_path)
    told: list[str] = []
    with (
        layout.lock(),
        pytest.raises(SandboxError, match="wait until it has ended"),
        layout.lock(0.3, told.append),
    ):
        pass
    assert len(told) == 1
    assert f"process {os.getpid()}" in told[0]


def test_optional_part_is_meant_only_if_it_is_named_or_there_already(sandbox: Sandbox) -> None:
    parts = lifecycle.parts_of(sandbox)
    optional = {name for name, part in parts.items() if part.optional}
    assert optional == {"forge"}
    assert set(lifecycle.choose(parts, (), with_needs=True)) == set(parts) - optional
    assert "forge" in lifecycle.choose(parts, ("forge",), with_needs=True)
    assert "forge" not in lifecycle.status(sandbox)
    parts["forge"].folder.mkdir(parents=True)
    assert set(lifecycle.choose(parts, (), with_needs=True)) == set(parts)
