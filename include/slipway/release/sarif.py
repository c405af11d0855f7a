"""Reports of gates in SARIF 2.1.0, the one form in which findings are read, whichever tool wrote them.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Of the schema what decides is read; what is more is passed over,
what is otherwise than it says is refused.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from slipway.release.findings import Finding, Severity, identified

LONGEST = 2_000
MOST = 20_000


class Unreadable(ValueError):
    """A report that is no SARIF."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class _Text(_Part):
    text: str = ""


class _Region(_Part):
    start_line: Annotated[int, Field(ge=1)] = Field(1, alias="startLine")
    snippet: _Text = _Text()


class _Artifact(_Part):
    uri: str = ""


class _Physical(_Part):
    artifact: _Artifact = Field(_Artifact(), alias="artifactLocation")
    region: _Region | None = None


class _Location(_Part):
    physical: _Physical = Field(_Physical(), alias="physicalLocation")


class _Result(_Part):
    rule_id: str = Field("", alias="ruleId")
    rule: dict[str, Any] = Field(default_factory=dict)
    rule_index: int = Field(-1, alias="ruleIndex")
    level: Literal["none", "note", "warning", "error"] | None = None
    kind: Literal["pass", "open", "informational", "notApplicable", "review", "fail"] = "fail"
    message: _Text
    locations: tuple[_Location, ...] = ()
    fingerprints: dict[str, str] = Field(default_factory=dict, alias="partialFingerprints")
    properties: dict[str, Any] = Field(default_factory=dict)


class _Configuration(_Part):
    level: Literal["none", "note", "warning", "error"] = "warning"


class _Rule(_Part):
    id: str
    configuration: _Configuration = Field(_Configuration(), alias="defaultConfiguration")
    properties: dict[str, Any] = Field(default_factory=dict)
    help_uri: str = Field("", alias="helpUri")


class _Driver(_Part):
    name: str
    rules: tuple[_Rule, ...] = ()


class _Tool(_Part):
    driver: _Driver


class _Run(_Part):
    tool: _Tool
    results: tuple[_Result, ...] = ()


class _Log(_Part):
    version: Literal["2.1.0"]
    runs: tuple[_Run, ...]


_LEVELS = {
    "error": Severity.HIGH,
    "warning": Severity.MEDIUM,
    "note": Severity.LOW,
    "none": Severity.LOW,
}


def rated(score: float) -> Severity:
    """Give the severity of a score of CVSS, 0 to 10 (https://www.first.org/cvss/v3.1/specification-document, 5)."""
    for least, severity in ((9.0, Severity.CRITICAL), (7.0, Severity.HIGH), (4.0, Severity.MEDIUM)):
        if score >= least:
            return severity
    return Severity.LOW


def findings(report: bytes, gate: str) -> tuple[Finding, ...]:
    """Give the findings of a report, in order, with their fingerprints.

    :param gate: id of the gate's task.
    :raises Unreadable: if it is no SARIF 2.1.0, or has more findings than MOST.
    """
    try:
        log = _Log.model_validate_json(report)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Unreadable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    found = [
        _finding(result, run)
        for run in log.runs
        for result in run.results
        if result.kind in ("fail", "open", "review")
    ]
    if len(found) > MOST:
        raise Unreadable(f"{len(found)} findings are more than {MOST}")
    return identified(gate, found)


def _finding(result: _Result, run: _Run) -> Finding:
    rules = run.tool.driver.rules
    name = result.rule_id or str(result.rule.get("id", ""))
    rule = next((one for one in rules if one.id == name), None)
    if rule is None and 0 <= result.rule_index < len(rules):
        rule = rules[result.rule_index]
    place = result.locations[0].physical if result.locations else _Physical()
    more = result.properties
    advice = str(more.get("advice") or (rule.help_uri if rule else ""))
    return Finding(
        path=unquote(re.sub(r"^(?:file://)?/workspace/src/|^\./", "", place.artifact.uri)) or ".",
        line=place.region.start_line if place.region else 0,
        rule=_cut(name or (rule.id if rule else "") or run.tool.driver.name, 200),
        # our own gates say it there for editors, which show nothing else
        message=_cut(result.message.text.removesuffix(f" What to do: {advice}")),
        advice=_cut(advice),
        severity=_severity(result, rule),
        context=_context(result, place),
        aliases=tuple(str(one) for one in more.get("aliases") or () if isinstance(one, str)),
        ships=more.get("ships") is not False,
    )


def _severity(result: _Result, rule: _Rule | None) -> Severity:
    stated = result.properties.get("severity")
    if stated in set(Severity):
        return Severity(stated)
    for properties in (result.properties, rule.properties if rule else {}):
        try:
            return rated(float(properties["security-severity"]))
        except (KeyError, TypeError, ValueError):
            continue
    return _LEVELS[result.level or (rule.configuration.level if rule else "warning")]


def _context(result: _Result, place: _Physical) -> str:
    if result.fingerprints:
        return ",".join(f"{name}={value}" for name, value in sorted(result.fingerprints.items()))
    return " ".join((place.region.snippet.text if place.region else "").split())


def _cut(text: str, longest: int = LONGEST) -> str:
    text = text.encode("utf-8", "replace").decode().replace("\0", "�")
    return text if len(text) <= longest else text[: longest - 1] + "…"
