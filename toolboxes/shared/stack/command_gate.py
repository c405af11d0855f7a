"""Runs a command that the catalog gives for a stage, in a copy of the source, and judges by what it tells."""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import gate
import results
import working_copy

SHOWN = 12  # last lines of a command that failed
USAGE = "command STAGE [--folder FOLDER] [--report REPORT] -- COMMAND…"


def kind(project: Callable[[Path], dict[str, str]]) -> Callable[[list[str]], gate.Verdict]:
    """The gate that runs a command.

    :param project: gives the variables by which the project's own code and dependencies are found in the copy.
    """

    def check(arguments: list[str]) -> gate.Verdict:
        options, command = _taken(arguments)
        gate.require_source()
        folder = options.get("folder", ".")
        if not gate.inside(folder).is_dir():
            raise gate.Failed(f"{folder} is no folder of the source: the catalog names it for this command")
        junit = gate.report("junit.xml")
        copy = working_copy.made()
        shown, cwd = shlex.join(command), copy / folder
        said: deque[str] = deque(maxlen=SHOWN)
        code = working_copy.ran(command, project(copy), cwd, what=f"`{shown}`", said=said)
        if "report" not in options:
            # as a finding, so that the catalog's policy can say what follows from it
            lines = "\n    ".join([f"`{shown}` ended with {code}", *(line for line in said if line.strip())])
            return gate.Verdict(f"`{shown}`", [gate.Finding(folder, 0, "exit-code", lines)] if code else [])
        return _judged(cwd / options["report"], code, shown, junit)

    return check


def _taken(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options and the command that follows them."""
    if "--" not in arguments[1:] or not (command := arguments[arguments.index("--") + 1 :]):
        raise gate.CannotEvaluate(f"usage: {USAGE}")
    given = arguments[1 : arguments.index("--")]
    return {given[at].removeprefix("--"): given[at + 1] for at in range(0, len(given), 2)}, command


def _judged(report: Path, code: int, shown: str, junit: Path) -> gate.Verdict:
    # tests that were run may have made a link of it, to a report that passes
    if not report.resolve().is_relative_to(working_copy.PLACE):
        raise gate.Failed(f"the report {report.name} leads out of the source")
    texts = results.reports(report)
    if PurePosixPath(report.name).suffix in (".sarif", ".json"):
        return results.lint([one for text in texts for one in results.sarif(text)], code, f"`{shown}`")
    whole = results.joined(texts)
    found = results.cases(whole)
    junit.write_text(whole, encoding="utf-8")
    return results.tests(found, code, f"`{shown}`", f"`{shown}`")
