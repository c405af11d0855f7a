"""A machine that cannot hold the sandbox is refused at once, with the figures."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_sandbox.layout import Layout, SandboxError
from slipway_sandbox.machine import ANY, GIB, MEMORY, Machine, check, lacks, look, needs_of

STATE, CACHE = Path("/state"), Path("/cache")
NEEDS = {STATE: 9 * GIB, CACHE: 2 * GIB}
GOOD = Machine(True, ("debian", "12"), 8 * GIB, {STATE: (1, 12 * GIB), CACHE: (1, 12 * GIB)}, True)
SANDBOX = Path(__file__).parents[3] / "sandbox"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_root": False}, "as root"),
        ({"system": ("ubuntu", "24.04")}, "Debian 12 is needed, this is ubuntu 24.04"),
        ({"system": ("", "")}, "this is an unknown system"),
        ({"memory": 3 * GIB}, "memory: 7.0 GiB are needed, 3.0 GiB are there"),
        (
            {"rooms": {STATE: (1, 10 * GIB), CACHE: (1, 10 * GIB)}},
            "disk: 11.0 GiB are needed for /state, /cache, 10.0 GiB are free",
        ),
        (
            {"rooms": {STATE: (1, 10 * GIB), CACHE: (2, GIB)}},
            "disk: 2.0 GiB are needed for /cache, 1.0 GiB are free",
        ),
        ({"cgroups": False}, "no cgroup"),
    ],
)
def test_each_lack_is_told_with_what_is_needed_and_what_is_there(
    change: dict[str, object], said: str
) -> None:
    assert lacks(GOOD, NEEDS) == []
    [found] = lacks(dataclasses.replace(GOOD, **change), NEEDS)  # type: ignore[arg-type]
    assert said in found


@given(memory=st.integers(0, 64 * GIB), free=st.integers(0, 64 * GIB))
def test_enough_is_never_refused_and_too_little_always(memory: int, free: int) -> None:
    machine = dataclasses.replace(GOOD, memory=memory, rooms={STATE: (1, free), CACHE: (1, free)})
    assert bool(lacks(machine, NEEDS)) == (memory < MEMORY or free < sum(NEEDS.values()))


def test_every_lack_is_told_at_once() -> None:
    nothing = Machine(False, ("", ""), 0, {STATE: (1, 0), CACHE: (1, 0)}, False)
    assert len(lacks(nothing, NEEDS)) == 5


def test_second_set_up_needs_less(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "state", tmp_path / "cache", tmp_path)
    first = sum(needs_of(layout, tmp_path).values())
    for made in (layout.state / "images.json", layout.cache / "kubernetes/.complete"):
        made.parent.mkdir(parents=True)
        made.touch()
    assert sum(needs_of(layout, tmp_path).values()) < first / 4
    assert look([layout.state]).rooms[layout.state][1] > 0


def test_another_system_may_be_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layout = Layout(tmp_path / "state", tmp_path / "cache", tmp_path)
    other = Machine(True, ("ubuntu", "24.04"), 8 * GIB, {}, True)
    monkeypatch.setattr(
        "slipway_sandbox.machine.look",
        lambda folders: dataclasses.replace(other, rooms=dict.fromkeys(folders, (1, 99 * GIB))),
    )
    with pytest.raises(SandboxError, match=f"cannot hold.*\n.*{ANY}=1"):
        check(layout, {})
    check(layout, {ANY: "1"})


def test_it_is_said_within_a_second_and_without_anything_installed(tmp_path: Path) -> None:
    """With too long a state folder, as that is wrong on every machine."""
    environment = {
        "PATH": os.defpath, "PYTHONPATH": str(SANDBOX), "SLIPWAY_STATE": f"/{'long' * 30}", "HOME": str(tmp_path),
    }  # fmt: skip
    began = time.monotonic()
    done = subprocess.run(
        [sys._base_executable, "-S", "-m", "slipway_sandbox.machine"],  # type: ignore[attr-defined]
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "allow 80" in done.stderr
    assert time.monotonic() - began < 5
