"""Reads what a command told: by JUnit, by SARIF, or by its exit code alone.

The files are pushed code's to write, so a report can only make things worse: an exit code that says that something is wrong
stands, whatever the report says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree  # noqa: ICN001

import gate

MOST = 50_000_000  # bytes of one report
FILES = 500
FULL = "a gate may write to /tmp only, and not without end (docs/security.md): write less, or remove it between tests"
PASSES = ("note", "none")  # levels of SARIF that are no findings


def cases(junit: str) -> list[ElementTree.Element]:
    """The cases of a JUnit report.

    :raises gate.Failed: if it is none.
    """
    if len(junit) > MOST or "<!DOCTYPE" in junit or "<!ENTITY" in junit:
        raise gate.Failed("the report is not one of tests (too large, or with declarations)")
    try:
        return list(ElementTree.fromstring(junit).iter("testcase"))  # noqa: S314 -- no entities
    except ElementTree.ParseError as error:
        raise gate.Failed(f"the report cannot be read: {error}") from error


def tests(found: Sequence[ElementTree.Element], code: int, what: str, program: str) -> gate.Verdict:
    """The verdict on cases of tests and the exit code of what ran them; both must say that tests ran and passed.

    :param what: where the tests are, or which command ran them.
    """
    findings, skipped = [], 0
    for case in found:
        bad = [part for part in case if part.tag in ("failure", "error")]
        skipped += case.find("skipped") is not None and not bad
        if bad:
            findings.append(_failed(case, bad[0]))
    ran = len(found) - skipped
    if not findings and not ran:
        raise gate.Failed(f"no test ran under {what} ({skipped} skipped): a gate without tests does not pass")
    if not findings and code:
        raise gate.Failed(f"{program} ended with {code}, though its report lists no failure: see above")
    return gate.Verdict(f"{ran} tests of {what}" + (f", {skipped} skipped" if skipped else ""), findings)


def _failed(case: ElementTree.Element, bad: ElementTree.Element) -> gate.Finding:
    name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
    text = bad.text or ""
    said = (
        re.findall(r"^E\s+(.*)$", text, re.MULTILINE)[:3] or (bad.get("message") or "failed").splitlines()[:3]
    )
    where = re.findall(r"^([^\s:]+\.py):(\d+):", text, re.MULTILINE)
    # the deepest place of the service's own: what it calls of others is shown by its full path
    own = [place for place in where if not place[0].startswith(("/", ".."))]
    path, line = (own or where or [(case.get("file") or case.get("classname", "").replace(".", "/"), "0")])[
        -1
    ]
    message = " / ".join(part.strip()[:300] for part in said)
    return gate.Finding(path, int(line), name, message, FULL if "[Errno 28]" in message else "")


def sarif(text: str) -> list[gate.Finding]:
    """The findings of a SARIF report: errors and warnings that are not suppressed.

    :raises gate.Failed: if it is none.
    """
    try:
        runs = json.loads(text)["runs"]
        return [
            _found(one)
            for run in runs
            for one in run.get("results") or []
            if one.get("level", "warning") not in PASSES and not one.get("suppressions")
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise gate.Failed(f"the report is not SARIF ({type(error).__name__}: {error})") from error


def _found(result: dict[str, object]) -> gate.Finding:
    first = next(iter(result.get("locations") or []), {})  # type: ignore[call-overload]
    place = first.get("physicalLocation", {})
    path, line = place.get("artifactLocation", {}).get("uri", ""), place.get("region", {}).get("startLine", 0)
    message = result.get("message", {}).get("text") or ""  # type: ignore[attr-defined]
    return gate.Finding(str(path), int(line), str(result.get("ruleId") or "finding"), str(message)[:1000])


def lint(findings: Sequence[gate.Finding], code: int, program: str) -> gate.Verdict:
    """The verdict on the findings of a command, and on its exit code: either may say that something is wrong."""
    if code and not findings:
        raise gate.Failed(f"{program} ended with {code}, though its report lists no finding: see above")
    return gate.Verdict(program, findings)


def reports(path: Path) -> list[str]:
    """The texts of a report: a file, or all `.xml` files of a folder (as Maven and Gradle write them).

    :raises gate.Failed: if there is none, or it is too large.
    """
    files = sorted(path.glob("**/*.xml")) if path.is_dir() else [path] if path.is_file() else []
    if not files:
        raise gate.Failed(f"the command left no report at {path.name}: `report` in the catalog names it")
    if len(files) > FILES or sum(file.stat().st_size for file in files) > MOST:
        raise gate.Failed(f"the report {path.name} has more than {FILES} files or {MOST} bytes")
    return [file.read_text(encoding="utf-8", errors="replace") for file in files]


def joined(texts: Sequence[str]) -> str:
    """JUnit reports as one."""
    if len(texts) == 1:
        return texts[0]
    whole = ElementTree.Element("testsuites")
    suite = ElementTree.SubElement(whole, "testsuite", {"name": "all"})
    for text in texts:
        suite.extend(cases(text))
    return ElementTree.tostring(whole, encoding="unicode")
