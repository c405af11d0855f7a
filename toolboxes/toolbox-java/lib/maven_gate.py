"""Runs Maven for a stage, and judges by what it says of files, or by the reports of tests."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import gate
import maven_project
import poms
import results
import working_copy

KEPT = 2_000  # lines of what Maven says
SHOWN = 15
CHECKS = {
    "lint": {
        "maven-checkstyle-plugin": "checkstyle:check",
        "spotless-maven-plugin": "spotless:check",
    },
    "analyze": {
        "spotbugs-maven-plugin": "spotbugs:check",
        "maven-pmd-plugin": "pmd:check",
    },
}
"""The plugins by which a project checks itself, and their goals."""

_PLACE = re.compile(r"\[(ERROR|WARN|WARNING)\] (?:/tmp/src/)?([\w./$-]+\.\w+):\[?(\d+)(?:[,:]\d+)?\]?:? (.+)")
_CHECKSTYLE = re.compile(r"\(\w+\) (\w+): (.+)|(.+) \[(\w+)\]")
_NOISE = re.compile(
    r"\[(?:INFO|WARNING)\]|\[ERROR\] *(?:$|-> \[Help|To see the full|Re-run Maven|For more information|\[Help \d)|\s*$"
)


def said(lines: Iterable[str]) -> list[str]:
    """What Maven said went wrong: its own words, without what it says each time."""
    return [one for one in lines if not _NOISE.match(one)][-SHOWN:]


def places(lines: Iterable[str], levels: Sequence[str] = ("ERROR",)) -> list[gate.Finding]:
    """What Maven, javac and checkers said of a line of a file, each once."""
    found: dict[tuple[str, int, str], gate.Finding] = {}
    for line in lines:
        if (match := _PLACE.match(line)) and match[1] in levels:
            path, number, what, rule = match[2], int(match[3]), match[4].strip(), "javac"
            if named := _CHECKSTYLE.fullmatch(what):  # which says each twice, in two ways
                rule, what = named[1] or named[4], named[2] or named[3]
            found.setdefault((path, number, what), gate.Finding(path, number, rule, what[:500]))
    return list(found.values())


def ran(goals: Sequence[str], levels: Sequence[str] = ("ERROR",)) -> gate.Verdict:
    """The verdict of goals by Maven's exit code, with what it said of files."""
    code, lines = _run(goals)
    shown = f"`{' '.join(['mvn', *goals])}`"
    if not code:
        return gate.Verdict(shown)
    found = places(lines, levels)
    whole = "\n    ".join([f"{shown} ended with {code}", *said(lines)])
    return gate.Verdict(shown, found or [gate.Finding(poms.NAME, 0, "exit-code", whole)])


def tests(goals: Sequence[str], reports: str, shown: str) -> Callable[[list[str]], gate.Verdict]:
    """The gate that runs goals, and judges by the reports that they leave in each module's folder."""

    def check(_: list[str]) -> gate.Verdict:
        gate.require_source()
        maven_project.project()
        junit = gate.report("junit.xml")
        code, lines = _run([*goals, "-fae"])
        files = sorted(working_copy.PLACE.glob(f"**/target/{reports}/TEST-*.xml"))
        if code and not files:
            if found := places(lines):
                return gate.Verdict(shown, found)
            raise gate.Failed("\n    ".join([f"{shown} ended with {code} before a test ran:", *said(lines)]))
        texts = [text for one in files if _is_own(one) for text in results.reports(one)]
        whole = results.joined(texts) if texts else "<testsuites/>"
        junit.write_text(whole, encoding="utf-8")
        return results.tests(results.cases(whole), code, shown, shown)

    return check


def _is_own(report: Path) -> bool:
    # tests that were run may have made a link of it, to a report that passes
    return report.resolve().is_relative_to(working_copy.PLACE)


def checked(stage: str, project: poms.Project) -> list[str]:
    """The goals by which a project checks itself for a stage; the whole of `verify` where the checks are bound to phases."""
    there = {name: goal for name, goal in CHECKS[stage].items() if name in project.plugins()}
    bound = [name for name in there if any(one.name == "execution" for one in project.plugins()[name].all())]
    return ["verify", "-DskipTests"] if bound else list(there.values())


def own_checks(stage: str) -> Callable[[list[str]], gate.Verdict]:
    """The gate that runs what the project checks itself with."""

    def check(_: list[str]) -> gate.Verdict:
        gate.require_source()
        goals = checked(stage, maven_project.project())
        if not goals:
            names = " or ".join(CHECKS[stage])
            raise gate.Failed(
                f"no pom.xml configures {names}: say a `command`, or why there is no such stage (`left_out`)"
            )
        return ran([*goals, "-fae"], ("ERROR", "WARN", "WARNING"))

    return check


def _run(goals: Sequence[str]) -> tuple[int, list[str]]:
    copy = working_copy.made()
    lines: deque[str] = deque(maxlen=KEPT)
    shown = f"`{' '.join(['mvn', *goals])}`"
    code = working_copy.ran(
        ["mvn", "-B", *goals], maven_project.environment(copy), copy, what=shown, said=lines
    )
    if code and (
        missing := next((one for one in lines if "has not been downloaded from it before" in one), "")
    ):
        raise gate.CannotEvaluate(
            f"something that is needed was not fetched with the dependencies: {missing.strip()[:500]}"
        )
    return code, list(lines)
