"""The one way in which the sandbox runs a program and waits for it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from slipway_sandbox.layout import SandboxError

OUTPUT_MAX = 4000  # characters of a program's output that an error message quotes


def run(
    command: Sequence[str | Path],
    *,
    what: str,
    timeout_s: float = 60,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
    accept: tuple[int, ...] = (0,),
) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end.

    :param what: what it is for, named in the error
    :param timeout_s: seconds after which it is killed
    :param stdin: text given to it (secrets go this way, never as an argument)
    :param env: variables added to this process's own
    :param log: file that output is appended to, in place of being returned
    :raises SandboxError: it ended with another code than `accept`, or not in time
    """
    arguments = [str(part) for part in command]
    environment = {**os.environ, **(env or {})}
    output = log.open("ab") if log else None
    try:
        done = subprocess.run(
            arguments,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=output or subprocess.PIPE,
            stderr=subprocess.STDOUT if output else subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
            cwd=cwd,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired as error:
        raise SandboxError(f"{what}: `{arguments[0]}` did not end within {timeout_s:.0f} s") from error
    except OSError as error:
        raise SandboxError(f"{what}: cannot run {arguments[0]}: {error.strerror}") from error
    finally:
        if output:
            output.close()
    if done.returncode not in accept:
        said = f"see {log}" if log else (done.stderr.strip() or done.stdout.strip())[-OUTPUT_MAX:]
        raise SandboxError(f"{what}: `{Path(arguments[0]).name}` ended with {done.returncode}: {said}")
    return done


def wait_until(ready: Callable[[], str | None], timeout_s: float, what: str, interval_s: float = 0.1) -> None:
    """Poll `ready` until it returns None; it returns what is still missing.

    :raises SandboxError: not ready within `timeout_s` seconds; says what was missing at last
    """
    deadline = time.monotonic() + timeout_s
    while True:
        missing = ready()
        if missing is None:
            return
        if time.monotonic() > deadline:
            raise SandboxError(f"{what} is not ready after {timeout_s:.0f} s: {missing}")
        time.sleep(interval_s)
