"""What `go test -json` tells (https://pkg.go.dev/cmd/test2json), as JUnit has it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree import ElementTree  # noqa: ICN001

ENDED = {"pass", "fail", "skip"}
MOST = 4_000  # characters kept of what a test says
_CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass
class Case:
    """A test, or a package that cannot be tested (its test is empty)."""

    package: str
    test: str
    said: list[str] = field(default_factory=list)
    ended: str = ""
    seconds: float = 0.0


def cases(lines: Iterable[str]) -> list[Case]:
    """The tests of a run, and the packages that failed without a failed test: they do not compile, or ended by themselves."""
    found: dict[tuple[str, str], Case] = {}
    built: dict[str, list[str]] = {}
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if not isinstance(event, dict):
            continue
        action, output = event.get("Action"), str(event.get("Output", ""))
        if action == "build-output":
            built.setdefault(str(event.get("ImportPath")), []).append(output)
            continue
        case = found.setdefault(
            key := (str(event.get("Package", "")), str(event.get("Test", ""))), Case(*key)
        )
        if action == "output":
            case.said.append(output)
        elif action in ENDED:
            case.ended, case.seconds = action, float(event.get("Elapsed") or 0)
            if failed := event.get("FailedBuild"):
                case.said += built.get(str(failed), [])
    failed_tests = {case.package for case in found.values() if case.test and case.ended == "fail"}
    for case in found.values():
        if case.test and not case.ended:
            case.ended = "fail"  # its package ended before it did
            case.said.append("it did not end")
            failed_tests.add(case.package)
    return [
        case
        for case in found.values()
        if case.test or (case.ended == "fail" and case.package not in failed_tests)
    ]


def junit(found: Iterable[Case]) -> str:
    """Cases as JUnit has them."""
    suite = ElementTree.Element("testsuite", {"name": "go test"})
    for case in found:
        told = {"classname": case.package, "name": case.test or "package", "time": f"{case.seconds:.3f}"}
        element = ElementTree.SubElement(
            suite, "testcase", {key: _CONTROL.sub("\ufffd", text) for key, text in told.items()}
        )
        said = _CONTROL.sub("\ufffd", "".join(case.said))[-MOST:]
        if case.ended == "fail":
            lines = [
                one.strip()
                for one in said.splitlines()
                if one.strip() and not re.match(r"\s*(=== |--- |FAIL|ok |exit )", one)
            ]
            bad = ElementTree.SubElement(element, "failure", {"message": "\n".join(lines[:3]) or "failed"})
            bad.text = said
        elif case.ended == "skip":
            ElementTree.SubElement(element, "skipped")
    return ElementTree.tostring(suite, encoding="unicode")
