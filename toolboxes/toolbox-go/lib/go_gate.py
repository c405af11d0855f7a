"""Runs the project's tests with `go test`, and judges by what it tells of each."""

from __future__ import annotations

import json
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence

import gate
import go_project
import go_tests
import results
import working_copy

MOST = 200_000  # events of a run


def kind(*options: str) -> Callable[[list[str]], gate.Verdict]:
    """The gate that runs all packages' tests.

    :param options: what else `go test` is told, such as a tag.
    """

    def check(_: list[str]) -> gate.Verdict:
        gate.require_source()
        required()
        report, copy = gate.report("junit.xml"), working_copy.made()
        command: Sequence[str] = ["go", "test", "-json", *options, "./..."]
        shown = " ".join(one for one in command if one != "-json")
        events: deque[str] = deque(maxlen=MOST)
        code = working_copy.ran(
            command,
            go_project.environment(copy),
            copy,
            what="the tests",
            last=signal.SIGQUIT,
            said=events,
            shown=told,
        )
        sys.stdout.flush()
        text = go_tests.junit(go_tests.cases(events))
        report.write_text(text, encoding="utf-8")
        return results.tests(results.cases(text), code, f"`{shown}`", f"`{shown}`")

    return check


def required() -> None:
    """See that there is a module at the top.

    :raises gate.Failed: if there is none.
    """
    if not (gate.SOURCE / "go.mod").is_file():
        raise gate.Failed(
            "there is no go.mod at the top: where the module lies in a folder below, say a `command` and its `folder`"
        )


def told(line: str) -> str:
    """What an event says, as text; a line that is none as it is."""
    try:
        event = json.loads(line)
    except ValueError:
        return line
    return str(event.get("Output", "")) if isinstance(event, dict) else line
