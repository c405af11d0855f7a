"""Starts the service from its source, for the dynamic scan: built as its compile stage does it, in a writable copy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gate
import working_copy


def main(project: Callable[[Path], Mapping[str, str]], build: Callable[[Path], Sequence[str] | None]) -> None:
    """Build the project, and become the command that the arguments say.

    :param project: gives the variables by which the project's own code and dependencies are found in the copy.
    :param build: gives what is run before; None if nothing is.
    """
    command = sys.argv[1:]
    if not command:
        sys.exit("usage: serve COMMAND…")
    try:
        gate.require_source()
        copy = working_copy.made()
        variables = dict(project(copy))
    except (gate.Failed, gate.CannotEvaluate) as reason:
        sys.exit(f"the service cannot be started: {reason}")
    if first := build(copy):
        code = subprocess.run(list(first), cwd=copy, env=variables).returncode
        if code:
            sys.exit(f"the service cannot be started: `{' '.join(first)}` ended with {code}")
    os.chdir(copy)
    try:
        os.execvpe(command[0], command, variables)  # noqa: S606 -- the catalog's command, as it is
    except OSError as error:
        sys.exit(f"the service cannot be started: `{command[0]}`: {error.strerror}")
