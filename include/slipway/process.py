"""Running other programs: argument lists, a bound on time and output, secrets only by file or standard input."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from slipway.errors import Transient

OUTPUT_LIMIT = 1_000_000
"""Bytes of a program's output that are kept; longer output is cut at the front, because errors stand at the end."""


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    stdin: bytes | IO[bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    ok: Sequence[int] = (0,),
    keep: int = OUTPUT_LIMIT,
    stdout: IO[bytes] | None = None,
) -> bytes:
    """Give the standard output of a program that ends with one of the exit codes ``ok``.

    :param timeout_s: seconds after which the program is killed.
    :param stdin: bytes, or an open file, for its standard input; none means an empty one.
    :param environment: its whole environment; None means this process's own.
    :param keep: bytes of its output that are given; longer output is cut at the front.
    :param stdout: an open file that its output goes to instead; nothing is given then.
    :raises Transient: if it is missing, takes too long or ends otherwise; the message holds the last lines it wrote.
    """
    source: dict[str, object] = {"stdin": subprocess.DEVNULL}
    if isinstance(stdin, bytes):
        source = {"input": stdin}
    elif stdin is not None:
        source = {"stdin": stdin}
    name = Path(str(argv[0])).name
    try:
        done = subprocess.run(  # type: ignore[call-overload]
            [str(a) for a in argv],
            stdout=stdout or subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout_s,
            env=dict(environment) if environment is not None else None,
            cwd=cwd,
            check=False,
            **source,
        )
    except FileNotFoundError as e:
        raise Transient(
            f"{name}: not installed on this worker",
            code="program.not-installed",
            remedy=f"install {name}, or fix PATH of the workers",
        ) from e
    except subprocess.TimeoutExpired as e:
        raise Transient(
            f"{name} {argv[1] if len(argv) > 1 else ''}: no end after {timeout_s:.0f} s",
            code="program.timed-out",
        ) from e
    if done.returncode not in ok:
        raise _ended(argv, done.returncode, done.stderr or done.stdout or b"")
    output: bytes = (done.stdout or b"")[-keep:]
    return output


def beginning(
    argv: Sequence[str | Path],
    *,
    limit: int,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> bytes:
    """Give the first ``limit`` bytes of a program's output; one that has more to say is ended, and fills no memory.

    :raises Transient: if it takes too long or fails before.
    """
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [str(a) for a in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            env=dict(environment) if environment is not None else None,
            cwd=cwd,
        ) as program,
    ):
        late = threading.Timer(timeout_s, program.kill)
        late.start()
        try:
            assert program.stdout is not None
            output = program.stdout.read(limit)
            if len(output) == limit:
                program.kill()
            program.wait()
        finally:
            program.kill()
            late.cancel()
            late.join()
        if program.returncode and len(output) < limit:
            said.seek(0)
            raise _ended(argv, program.returncode, said.read())
        return output


def _ended(argv: Sequence[str | Path], code: int, output: bytes) -> Transient:
    said = output[-4000:].decode(errors="replace").strip().splitlines()
    return Transient(
        f"{Path(str(argv[0])).name} {argv[1] if len(argv) > 1 else ''} ended with {code}: {said[-1] if said else 'no output'}",
        code="program.failed",
        lines=said[-15:],
    )
