"""SARIF of any tool is read alike, and anything else is refused, never taken for a report without findings."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.release.findings import Severity
from slipway.release.sarif import MOST, Unreadable, findings, rated


def report(*results: dict[str, Any], rules: list[dict[str, Any]] | None = None) -> bytes:
    driver = {"name": "tool", "rules": rules or []}
    return json.dumps(
        {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": list(results)}]}
    ).encode()


def result(**more: Any) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": "src/a%20b.py"},
        "region": {"startLine": 3, "snippet": {"text": " x  = 1"}},
    }
    return {"ruleId": "r", "message": {"text": "m"}, "locations": [{"physicalLocation": place}], **more}


def test_result_becomes_a_finding() -> None:
    [found] = findings(report(result(level="error")), "build.lint")
    assert (found.path, found.line, found.rule, found.message) == ("src/a b.py", 3, "r", "m")
    assert (found.severity, found.context, found.ships) == (Severity.HIGH, "x = 1", True)
    assert len(found.fingerprint) == 64


@pytest.mark.parametrize(
    ("more", "rule", "severity"),
    [
        ({"properties": {"severity": "critical"}, "level": "note"}, {}, "critical"),
        ({"properties": {"security-severity": "9.8"}}, {}, "critical"),
        ({}, {"properties": {"security-severity": "5.0"}}, "medium"),
        ({}, {"defaultConfiguration": {"level": "error"}}, "high"),
        ({"level": "note"}, {"defaultConfiguration": {"level": "error"}}, "low"),
        ({"properties": {"security-severity": "bad"}, "level": "warning"}, {}, "medium"),
        ({}, {}, "medium"),  # the schema's default is a warning
    ],
)
def test_severity_is_the_results_the_rules_or_the_levels(
    more: dict[str, Any], rule: dict[str, Any], severity: str
) -> None:
    [found] = findings(report(result(**more), rules=[{"id": "r", **rule}]), "build.lint")
    assert found.severity == severity


def test_rule_may_be_named_by_its_index_and_place_may_lack() -> None:
    named = {"ruleIndex": 0, "message": {"text": "m"}}
    [found] = findings(report(named, rules=[{"id": "by-index"}]), "build.lint")
    assert (found.rule, found.path, found.line) == ("by-index", ".", 0)


def test_what_a_tool_lists_as_passed_is_no_finding() -> None:
    assert findings(report(result(kind="pass"), result(kind="notApplicable")), "build.lint") == ()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b"[]",
        b'{"version": "2.0.0", "runs": []}',
        b'{"version": "2.1.0"}',
        b'{"version": "2.1.0", "runs": [{"results": []}]}',
        report({"ruleId": "r"}),
        report(result(level="fatal")),
        report(*[{"message": {"text": ""}}] * (MOST + 1)),
    ],
    ids=range(9),
)
def test_what_is_no_sarif_is_refused(text: bytes) -> None:
    with pytest.raises(Unreadable):
        findings(text, "build.lint")


@given(
    st.binary(max_size=60)
    | st.recursive(st.none() | st.integers() | st.text(max_size=4), st.lists).map(
        lambda value: json.dumps({"version": "2.1.0", "runs": [value]}).encode()
    )
)
def test_nothing_but_findings_or_a_refusal_comes_of_a_report(text: bytes) -> None:
    with suppress(Unreadable):
        assert isinstance(findings(text, "scan.sast"), tuple)


@pytest.mark.parametrize(
    ("score", "word"), [(0.0, "low"), (3.9, "low"), (4, "medium"), (7, "high"), (9, "critical")]
)
def test_scores_are_rated_as_cvss_says(score: float, word: str) -> None:
    assert rated(score) == word
