"""Runs a script of package.json for a stage, and judges by the report of its runner, or by its exit code."""

from __future__ import annotations

import json
import os
import re
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from xml.etree import ElementTree  # noqa: ICN001

import command_gate
import gate
import node_project
import node_version
import results
import working_copy

JUNIT = Path("/tmp/junit.xml")
LAST = r"(?:^|&&|;|\s)(?:npx\s+)?(?:[A-Z_]+=\S+\s+)*"


def kind(stage: str) -> Callable[[list[str]], gate.Verdict]:
    """The gate that runs a stage's script."""

    def check(_: list[str]) -> gate.Verdict:
        gate.require_source()
        name = required(stage)
        return command_gate.kind(node_project.environment)([stage, "--", "npm", "run", name])

    return check


def required(stage: str) -> str:
    """The script of a stage.

    :raises gate.Failed: if there is none.
    """
    group = "test" if stage in ("unit", "integration") else "build"
    if name := node_project.script(stage, gate.SOURCE):
        return name
    names = " or ".join(f"`{one}`" for one in node_project.SCRIPTS[stage])
    raise gate.Failed(
        f"package.json has no script {names}: write one, or say by {group}.{stage} in the catalog which `command` runs, or"
        " why the stage is `left_out`"
    )


def tests(stage: str) -> Callable[[list[str]], gate.Verdict]:
    """The gate that runs a script of tests. Node's own runner and vitest are asked for a report."""

    def check(_: list[str]) -> gate.Verdict:
        gate.require_source()
        name = required(stage)
        junit, copy = gate.report("junit.xml"), working_copy.made()
        variables = node_project.environment(copy)
        text = str(node_version.package(copy)["scripts"][name])
        more, options = reporter(text)
        if options:
            variables["NODE_OPTIONS"] = " ".join([os.environ.get("NODE_OPTIONS", ""), *options]).strip()
        said: deque[str] = deque(maxlen=command_gate.SHOWN)
        shown = f"npm run {name}"
        code = working_copy.ran(["npm", "run", name, *more], variables, copy, what=f"`{shown}`", said=said)
        if (more or options) and JUNIT.is_file():
            whole = JUNIT.read_text(encoding="utf-8", errors="replace")
            found = results.cases(whole)
            junit.write_text(whole, encoding="utf-8")
            return results.tests(found, code, f"`{shown}`", f"`{shown}`")
        if code:
            lines = "\n    ".join([f"`{shown}` ended with {code}", *(line for line in said if line.strip())])
            return gate.Verdict(f"`{shown}`", [gate.Finding("package.json", 0, "exit-code", lines)])
        junit.write_text(ran_well(shown), encoding="utf-8")
        return gate.Verdict(f"`{shown}`, by its exit code")

    return check


def reporter(script: str) -> tuple[Sequence[str], Sequence[str]]:
    """What makes a script's runner write JUnit's form: arguments after the script's own, and options for Node."""
    if re.search(LAST + r"vitest\b[^&;|]*$", script):
        return ("--", "--reporter=default", "--reporter=junit", f"--outputFile.junit={JUNIT}"), ()
    if re.search(LAST + r"node\s[^&;|]*--test\b[^&;|]*$", script) and "--test-reporter" not in script:
        kinds = (("spec", "stdout"), ("junit", str(JUNIT)))
        return (), [
            one
            for name, to in kinds
            for one in (f"--test-reporter={name}", f"--test-reporter-destination={to}")
        ]
    return (), ()


def ran_well(command: str) -> str:
    """A report of one case: that a command ended well is all that is known."""
    suite = ElementTree.Element("testsuite", {"name": "command", "tests": "1"})
    ElementTree.SubElement(
        suite, "testcase", {"classname": "command", "name": json.dumps(command), "time": "0"}
    )
    return ElementTree.tostring(suite, encoding="unicode")
