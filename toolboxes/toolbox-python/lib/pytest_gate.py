"""Runs a service's tests with pytest and judges by the report, not by the exit code alone."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import gate
import results
import working_copy

PYTHON = gate.DEPS / "venv/bin/python"


def kind(
    name: str, default: str, project: Callable[[Path], dict[str, str]]
) -> Callable[[list[str]], gate.Verdict]:
    """The gate for one kind of test, found under a folder that the first argument names.

    :param project: gives the variables by which the project's own code is found in the tests' copy.
    """

    def check(arguments: list[str]) -> gate.Verdict:
        gate.require_source()
        path = arguments[0] if arguments else default
        if not gate.inside(path).exists():
            raise gate.Failed(
                f"{path} is missing: the catalog says that the {name} tests are there (test.{name}.path;"
                f" a service without them says why by test.{name}.left_out)"
            )
        if not PYTHON.exists():
            raise gate.CannotEvaluate(
                "/deps/venv is missing: fetch-dependencies has not filled the dependencies' volume"
            )
        junit, copy = gate.report("junit.xml"), working_copy.made()
        command = [PYTHON, "-m", "pytest", f"--junit-xml={junit}", "--tb=short", "--color=no", path]
        # pytest's fault handler says where the tests were when it is aborted
        code = working_copy.ran(command, project(copy), copy, what="the tests", last=signal.SIGABRT)
        sys.stdout.flush()
        return judged(
            junit.read_text(encoding="utf-8", errors="replace") if junit.is_file() else "", code, path
        )

    return check


def judged(junit: str, code: int, path: str) -> gate.Verdict:
    """The verdict of a JUnit report and pytest's exit code; both must say that tests ran and passed."""
    if not junit:
        why = {
            4: "pytest refused its options or plugins",
            1: "is pytest among the development dependencies?",
        }.get(code, "the tests ended pytest")
        raise gate.Failed(f"no report was written (exit {code}): {why}")
    return results.tests(results.cases(junit), code, path, "pytest")
