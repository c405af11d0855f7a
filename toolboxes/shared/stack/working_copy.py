"""A copy of the source that a command may write to, as it may on any other machine.

The volume is read-only, and what other gates look at. Tools put files beside sources: coverage's data, a log that pytest's
options name, examples that hypothesis keeps, snapshots, compiled code.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

import gate

PLACE = Path("/tmp/src")
DRAIN_S = 2
BOUND = 512  # MiB of /tmp, which the platform mounts


def made() -> Path:
    """Copy the source, and give where it is.

    :raises gate.Failed: if there is no room for it.
    """
    try:
        shutil.copytree(gate.SOURCE, PLACE, symlinks=True, dirs_exist_ok=True)
    except (shutil.Error, OSError) as error:
        shutil.rmtree(PLACE, ignore_errors=True)
        if "No space left" in str(error) or "Errno 28" in str(error):
            raise gate.Failed(
                f"the source does not fit into {BOUND} MiB, which a gate may write to: keep large files elsewhere"
            ) from error
        raise gate.CannotEvaluate(f"the source cannot be copied to {PLACE}: {error}") from error
    return PLACE


def environment(root: Path) -> dict[str, str]:
    """The variables that a command of the project gets: what its dependencies installed is found by name."""
    return {
        **os.environ,
        "PATH": f"{gate.DEPS}/venv/bin:{os.environ['PATH']}",
        "VIRTUAL_ENV": f"{gate.DEPS}/venv",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        "CI": "true",
    }


def ran(
    command: Sequence[str | Path],
    variables: Mapping[str, str],
    cwd: Path,
    *,
    what: str,
    last: int = signal.SIGTERM,
    said: deque[str] | None = None,
    shown: Callable[[str], str] = str,
) -> int:
    """Run a command to its end, and give its exit code.

    When time is over (SIGTERM) it is sent ``last``, and the gate says so itself. In a session of its own the command is not
    ended before that.

    :param what: what runs, in words (many).
    :param said: gets the lines that it says, which are printed, too; errors among them.
    :param shown: gives what is printed of a line.
    :raises gate.Failed: if time was over, it crashed, or cannot be started.
    :raises gate.CannotEvaluate: if it was killed.
    """
    late: list[int] = []
    try:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=dict(variables),
            cwd=cwd,
            start_new_session=True,
            **({} if said is None else {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}),
        )
    except OSError as error:
        raise gate.Failed(
            f"`{command[0]}` cannot be started ({error.strerror}): the catalog names it, and neither the project's"
            " dependencies nor the toolbox have it"
        ) from error

    def end(number: int, _: object) -> None:
        late.append(number)
        process.send_signal(last)

    signal.signal(signal.SIGTERM, end)
    heard = threading.Thread(target=_hear, args=(process.stdout, said, shown), daemon=True)
    if said is not None:
        heard.start()
    code = process.wait()
    if said is not None:
        heard.join(DRAIN_S)  # a daemon that it left behind may keep the pipe open
    if late:
        sys.stdout.flush()
        raise gate.Failed(f"{what} did not end in time: see above where they were")
    refuse_signal(code, what)
    return code


def _hear(stream: IO[bytes], said: deque[str], shown: Callable[[str], str]) -> None:
    for line in stream:
        text = line.decode(errors="replace")
        said.append(text.rstrip())
        sys.stdout.write(shown(text))
        sys.stdout.flush()


def refuse_signal(code: int, what: str) -> None:
    """Refuse what ended by a signal. Only SIGKILL may be the machine's, which is short of memory; a crash is its own.

    An exit code that looks like one (137) is none: who ends so means it, and is judged like any other.
    """
    if code == -signal.SIGKILL:
        raise gate.CannotEvaluate(f"{what} were killed (signal 9): too little memory?")
    if code < 0:
        raise gate.Failed(f"{what} crashed (signal {-code}): see above where they were")
