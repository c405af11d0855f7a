"""Running other programs: argument lists, a bound on time and output, secrets only by file or standard input."""

from __future__ import annotations

import subprocess
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
) -> bytes:
    """Give the standard output of a program that ends with one of the exit codes ``ok``.

    :param timeout_s: seconds after which the program is killed.
    :param stdin: bytes, or an open file, for its standard input; none means an empty one.
    :param environment: its whole environment; None means this process's own.
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
            capture_output=True,
            timeout=timeout_s,
            env=dict(environment) if environment is not None else None,
            cwd=cwd,
            check=False,
            **source,
        )
    except FileNotFoundError as e:
        raise Transient(
            f"{name}: not installed on this worker", remedy=f"install {name}, or fix PATH of the workers"
        ) from e
    except subprocess.TimeoutExpired as e:
        raise Transient(f"{name} {argv[1] if len(argv) > 1 else ''}: no end after {timeout_s:.0f} s") from e
    if done.returncode not in ok:
        said = (done.stderr or done.stdout)[-4000:].decode(errors="replace").strip().splitlines()
        raise Transient(
            f"{name} {argv[1] if len(argv) > 1 else ''} ended with {done.returncode}: {said[-1] if said else 'no output'}",
            lines=said[-15:],
        )
    output: bytes = done.stdout[-OUTPUT_LIMIT:]
    return output
