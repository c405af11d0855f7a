"""The supervisor's configuration says exactly what is meant."""

import configparser
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_sandbox.layout import Layout, SandboxError
from slipway_sandbox.supervisor import Confined, Program, Supervisor, start_time, tail

LAYOUT = Layout(Path("/s"), Path("/c"), Path("/x"))


def read(program: Program, layout: Layout = LAYOUT) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None, inline_comment_prefixes=(";", "#"))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(program.section(layout))
    return dict(parser[f"program:{program.name}"])


@given(st.lists(st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1), min_size=1))
def test_command_reaches_the_process_word_by_word(words: list[str]) -> None:
    section = Program("p", ["/bin/x", *words]).section(LAYOUT)
    line = next(line for line in section.splitlines() if line.startswith("command = ")).removeprefix(
        "command = "
    )
    assert shlex.split(line.replace("%%", "%")) == ["/bin/x", *words]


def test_line_break_in_a_command_is_refused() -> None:
    with pytest.raises(SandboxError, match="line break"):
        Program("p", ["/bin/sh", "-c", "a\nb"]).section(LAYOUT)


def test_every_process_carries_the_mark_of_its_sandbox() -> None:
    assert 'SLIPWAY_SANDBOX_STATE="/s"' in read(Program("p", ["/bin/true"]))["environment"]


def test_changed_configuration_file_changes_the_section_so_that_the_process_restarts(tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text("one")
    before = Program("p", ["/bin/true"], reads=[file]).section(LAYOUT)
    assert Program("p", ["/bin/true"], reads=[file]).section(LAYOUT) == before
    file.write_text("two")
    assert Program("p", ["/bin/true"], reads=[file]).section(LAYOUT) != before


def test_confined_program_keeps_its_arguments_apart() -> None:
    command = Confined("nobody", {Path("/a b"): Path("/in")}).command(["/bin/x", "one two", "$HOME"])
    assert command[-3:] == ["/bin/x", "one two", "$HOME"]
    assert command[command.index("confine") + 1 :][:2] == ["/a b", "/in"]
    assert "--reuid nobody" in " ".join(command)


def test_start_time_tells_a_process_from_a_later_one_with_its_id() -> None:
    own = start_time(os.getpid())
    assert own is not None
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    later = start_time(child.pid)
    assert later is not None
    assert later >= own
    child.communicate(b"\n")
    assert start_time(child.pid) is None


def test_tail_gives_the_last_lines_and_says_what_is_missing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"{n}\n" for n in range(100)))
    assert tail(log, 2) == "98\n99"
    assert "No such file" in tail(tmp_path / "none", 2)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Gives a folder in which a socket may be: its name has 107 characters at most, which pytest's own folders may need alone."""
    with TemporaryDirectory(prefix="slipway-") as folder:
        yield Path(folder)


def test_supervisor_starts_though_a_parts_folder_has_gone_since_the_last(short_path: Path) -> None:
    layout = Layout(short_path / "state", short_path / "cache", short_path)
    layout.create()
    supervisor = Supervisor(layout)
    gone = layout.state / "kubernetes/logs/etcd.log"
    (supervisor.folder / "conf.d/k8s-etcd.conf").write_text(
        f"[program:k8s-etcd]\ncommand=true\nstdout_logfile={gone}\n"
    )
    try:
        assert supervisor.start()
        assert supervisor.processes() == {}
    finally:
        supervisor.shut_down()
