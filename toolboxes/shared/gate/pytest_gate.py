"""Runs a service's tests with pytest and judges by the report, not by the exit code alone."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from xml.etree import ElementTree  # noqa: ICN001

import gate

PYTHON = gate.DEPS / "venv/bin/python"
FULL = "a gate may write to /tmp only, and not without end (docs/security.md): write less, or remove it between tests"


def kind(name: str, default: str) -> Callable[[list[str]], gate.Verdict]:
    """The gate for one kind of test, found under a folder that the first argument names."""

    def check(arguments: list[str]) -> gate.Verdict:
        gate.require_source()
        path = arguments[0] if arguments else default
        if not gate.inside(path).exists():
            raise gate.Failed(f"{path} is missing: the catalog says that the {name} tests are there")
        if not PYTHON.exists():
            raise gate.CannotEvaluate(
                "/deps/venv is missing: fetch-dependencies has not filled the dependencies' volume"
            )
        junit = gate.report("junit.xml")
        environment = {
            **os.environ,
            "PYTHONPATH": str(gate.SOURCE / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "NO_COLOR": "1",
        }
        command = [
            PYTHON,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            f"--junit-xml={junit}",
            "--tb=short",
            "--color=no",
            path,
        ]
        code, is_late = tried([str(part) for part in command], environment)
        sys.stdout.flush()
        if is_late:
            raise gate.Failed("the tests did not end in time: see above where they were")
        refuse_signal(code)
        return judged(
            junit.read_text(encoding="utf-8", errors="replace") if junit.is_file() else "", code, path
        )

    return check


def refuse_signal(code: int) -> None:
    """Refuse tests that ended by a signal. Only SIGKILL may be the machine's, which is short of memory; a crash is their own.

    An exit code that looks like one (137) is none: who ends so means it, and is judged like any other.
    """
    if code == -signal.SIGKILL:
        raise gate.CannotEvaluate("the tests were killed (signal 9): too little memory?")
    if code < 0:
        raise gate.Failed(f"the tests crashed (signal {-code}): see above where they were")


def tried(command: list[str], environment: dict[str, str]) -> tuple[int, bool]:
    """The exit code of the tests, and whether they were ended because time was over (SIGTERM).

    Then pytest's fault handler is made to say where they were, which SIGABRT does. In a session of its own pytest is
    not ended before that.
    """
    process = subprocess.Popen(command, env=environment, cwd=gate.SOURCE, start_new_session=True)
    late: list[int] = []

    def end(signal_number: int, _: object) -> None:
        late.append(signal_number)
        process.send_signal(signal.SIGABRT)

    signal.signal(signal.SIGTERM, end)
    return process.wait(), bool(late)


def judged(junit: str, code: int, path: str) -> gate.Verdict:
    """The verdict of a JUnit report and pytest's exit code; both must say that tests ran and passed."""
    if not junit:
        why = {
            4: "pytest refused its options or plugins",
            1: "is pytest among the development dependencies?",
        }.get(code, "the tests ended pytest")
        raise gate.Failed(f"no report was written (exit {code}): {why}")
    if len(junit) > 50_000_000 or "<!DOCTYPE" in junit or "<!ENTITY" in junit:
        raise gate.Failed("the report is not one of pytest's (too large, or with declarations)")
    try:
        cases = list(ElementTree.fromstring(junit).iter("testcase"))  # noqa: S314 -- no entities
    except ElementTree.ParseError as error:
        raise gate.Failed(f"the report cannot be read: {error}") from error
    findings, skipped = [], 0
    for case in cases:
        bad = [part for part in case if part.tag in ("failure", "error")]
        skipped += case.find("skipped") is not None and not bad
        if bad:
            findings.append(_finding(case, bad[0]))
    ran = len(cases) - skipped
    if not findings and not ran:
        raise gate.Failed(f"no test ran under {path} ({skipped} skipped): a gate without tests does not pass")
    if not findings and code:
        raise gate.Failed(f"pytest ended with {code}, though its report lists no failure: see above")
    return gate.Verdict(f"{ran} tests of {path}" + (f", {skipped} skipped" if skipped else ""), findings)


def _finding(case: ElementTree.Element, bad: ElementTree.Element) -> gate.Finding:
    name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
    text = bad.text or ""
    said = (
        re.findall(r"^E\s+(.*)$", text, re.MULTILINE)[:3] or (bad.get("message") or "failed").splitlines()[:3]
    )
    where = re.findall(r"^([^\s:]+\.py):(\d+):", text, re.MULTILINE)
    # the deepest place of the service's own: what it calls of others is shown by its full path
    own = [place for place in where if not place[0].startswith(("/", ".."))]
    path, line = (own or where or [(case.get("classname", "").replace(".", "/"), "0")])[-1]
    message = " / ".join(part.strip()[:300] for part in said)
    return gate.Finding(path, int(line), name, message, FULL if "[Errno 28]" in message else "")
