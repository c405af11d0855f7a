"""A command is ended at the moment that is named, with all that it runs; a moment that does not come is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faults.interrupt import EARLY, MOMENTS, Moment, interrupt, main
from faults.setup import CASES


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path))
    return tmp_path


def shell(script: str) -> list[str]:
    return ["sh", "-c", script]


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGKILL])
def test_the_whole_group_is_ended_once_the_file_is_there(state: Path, sign: signal.Signals) -> None:
    script = f"(sleep 60; touch {state}/late) & touch {state}/begun; wait"
    came, seen = interrupt(Moment("a file comes", path="beg*"), sign, shell(script), timeout_s=10)
    assert (came, seen) == (True, f"{state}/begun")
    assert not list(Path("/proc").glob("[0-9]*/cwd/late"))


def test_file_of_an_earlier_time_is_not_the_moment(state: Path) -> None:
    (state / "begun").touch()
    came, said = interrupt(
        Moment("a file comes", path="begun"), signal.SIGKILL, shell("echo whole"), timeout_s=10
    )
    assert (came, said) == (False, "whole\n")


def test_process_and_line_are_moments() -> None:
    script = "echo now; exec sleep 61.5"
    assert interrupt(
        Moment("it sleeps", process=r"^sleep 61\.5"), signal.SIGTERM, shell(script), timeout_s=10
    )[0]
    assert interrupt(Moment("it speaks", line="^now"), signal.SIGTERM, shell(script), timeout_s=10) == (
        True,
        "now",
    )


def test_command_that_ends_before_its_moment_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["initdb", "KILL", "--", sys.executable, "-c", "print('all there')"]) == EARLY
    assert "the moment did not come:\nall there" in capsys.readouterr().out
    assert main(["lunch", "KILL", "--", "true"]) == 2


def test_every_moment_has_one_sign_to_be_known_by_and_its_case() -> None:
    assert all(bool(one.process) + bool(one.path) + bool(one.line) == 1 for one in MOMENTS.values())
    assert len(CASES) == len(MOMENTS) >= 15
    assert {case.name.rpartition("-")[2] for case in CASES} == {"kill", "term"}


@pytest.mark.parametrize(
    ("program", "code", "said"),
    [("faults.interrupt", 2, "usage: MOMENT TERM|KILL"), ("faults.setup", 1, "KeyError: 'no such moment'")],
)
def test_needs_the_standard_library_alone(program: str, code: int, said: str) -> None:
    """On the machine whose set-up is ended there is no virtual environment."""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys._base_executable, "-S", "-m", program, "no such moment", "KILL"],  # type: ignore[attr-defined]
        env={**os.environ, "PYTHONPATH": f"{root}/sandbox:{root}/tests", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, said in done.stderr) == (code, True), done.stderr
