"""What follows from a finding hangs on rule, path, severity, fingerprint, the words of the catalog, and the day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog.service import DependencyGate, FindingWaiver, Gate
from slipway.release.findings import Finding, How, Judged, Severity, identified, policy_on, verdict

TODAY = date(2026, 11, 26)
PATHS, RULES = ["a.py", "b.py"], ["sql", "CVE-1"]


def waiver(**words: Any) -> FindingWaiver:
    plain = {
        "rule": "sql",
        "path": "a.py",
        "reason": "the column is a constant",
        "owner": "web",
        "until": TODAY,
    }
    return FindingWaiver(**{**plain, **words})


def finding(**words: Any) -> Finding:
    plain = {
        "path": "a.py",
        "line": 3,
        "rule": "sql",
        "message": "m",
        "severity": Severity.HIGH,
        "context": "x",
    }
    return Finding(**{**plain, **words})


def one(found: Finding, gate: Gate, *, old: bool = False) -> Judged:
    [found] = identified("scan.sast", [found])
    [judged] = verdict([found], gate, {found.fingerprint} if old else (), TODAY).judged
    return judged


# few draws, each of what decides
KINDS = [
    {"path": path, "rule": rule, "context": context, "severity": severity, "aliases": aliases, "ships": ships}
    for path in PATHS
    for rule in RULES
    for context in "xy"
    for severity in Severity
    for aliases in ((), ("CVE-1",))
    for ships in (True, False)
]
WAIVERS = [
    waiver(path=path, rule=rule, until=TODAY + timedelta(days=days))
    for path in PATHS
    for rule in RULES
    for days in (-1, 0, 1)
]
findings = st.lists(st.sampled_from(KINDS), max_size=6).map(
    lambda kinds: identified("scan.sast", [finding(line=line % 4, **kind) for line, kind in enumerate(kinds)])
)
waivers = st.lists(st.sampled_from(WAIVERS), max_size=4).map(tuple)
gates = st.builds(
    DependencyGate,
    policy=st.sampled_from(["enforce", "warn"]),
    severity=st.sampled_from(["low", "medium", "high", "critical"]),
    development=st.sampled_from(["enforce", "warn"]),
    waivers=waivers,
)


@given(findings, gates, st.sets(st.integers(0, 7)))
def test_each_finding_is_told_once_and_stops_unless_the_catalog_says_why_not(
    found: tuple[Finding, ...], gate: DependencyGate, known: set[int]
) -> None:
    old = {one.fingerprint for number, one in enumerate(found) if number in known}
    ended = verdict(found, gate, old, TODAY)
    assert [judged.finding for judged in ended.judged] == list(found)
    for judged in ended.judged:
        this = judged.finding
        waived = any(
            w.path == this.path and w.rule in (this.rule, *this.aliases) and w.until >= TODAY
            for w in gate.waivers
        )
        mild = not this.severity.reaches(gate.severity) or not (this.ships or gate.development == "enforce")
        excused = waived or this.fingerprint in old or gate.policy == "warn" or mild
        assert (judged.how is How.STOPS) is not excused
        assert (judged.how is How.WAIVED) is waived
    assert ended.passes is not any(judged.how is How.STOPS for judged in ended.judged)
    used = [w for w in gate.waivers if any(w.path == f.path and w.rule in f.names for f in found)]
    assert len(ended.unused) == len(gate.waivers) - len(used)


@given(findings, gates)
def test_more_of_the_baseline_and_a_later_day_never_let_more_stop_or_pass_than_they_should(
    found: tuple[Finding, ...], gate: DependencyGate
) -> None:
    def stops(old: set[str], day: date = TODAY) -> set[str]:
        return {one.finding.fingerprint for one in verdict(found, gate, old, day).of(How.STOPS)}

    everything = {one.fingerprint for one in found}
    assert stops(everything) == set()
    assert stops(set()) <= stops(set(), TODAY + timedelta(days=9))  # waivers end, none begin


@given(findings, st.integers(1, 50), st.randoms())
def test_what_moves_in_its_file_stays_the_same_and_no_two_are_alike(
    found: tuple[Finding, ...], down: int, random: Any
) -> None:
    prints = [one.fingerprint for one in found]
    assert len(set(prints)) == len(prints)
    moved = [replace(one, line=one.line + down, fingerprint="") for one in found]
    random.shuffle(moved)
    assert [one.fingerprint for one in identified("scan.sast", moved)] == prints


def test_a_second_one_beside_an_old_one_is_new() -> None:
    [old] = identified("scan.sast", [finding()])
    both = identified("scan.sast", [finding(), finding(line=9)])
    ended = verdict(both, Gate(), {old.fingerprint}, TODAY)
    assert [judged.how for judged in ended.judged] == [How.OLD, How.STOPS]


def test_waiver_is_of_one_rule_and_one_path_and_holds_through_its_last_day() -> None:
    gate = Gate(waivers=(waiver(),))
    assert one(finding(), gate).why == "waived by web until 2026-11-26: the column is a constant"
    assert one(finding(path="b.py"), gate).how is How.STOPS
    assert one(finding(rule="shell"), gate).how is How.STOPS
    over = one(finding(), Gate(waivers=(waiver(until=TODAY - timedelta(days=1)),)))
    assert (over.how, over.why) == (How.STOPS, "its waiver ended on 2026-11-25")
    assert str(over) == "a.py:3: sql: m; its waiver ended on 2026-11-25"


def test_advisory_is_waived_by_any_of_its_ids() -> None:
    gate = Gate(waivers=(waiver(rule="CVE-2026-1"),))
    assert one(finding(rule="GHSA-x", aliases=("CVE-2026-1",)), gate).how is How.WAIVED


def test_waiver_of_what_is_not_found_is_told() -> None:
    assert verdict([], Gate(waivers=(waiver(),)), (), TODAY).unused == ("sql in a.py (until 2026-11-26)",)


def test_of_dependencies_high_stops_and_what_is_not_shipped_only_warns() -> None:
    gate = DependencyGate()
    hows = {severity: one(finding(severity=severity), gate).how for severity in Severity}
    assert [name for name, how in hows.items() if how is How.STOPS] == ["high", "critical", "unknown"]
    tool = one(finding(ships=False), gate)
    assert (tool.how, tool.why) == (How.WARNS, "of a development tool, which is not shipped")
    assert one(finding(ships=False), DependencyGate(development="enforce")).how is How.STOPS


@pytest.mark.parametrize(("day", "holds"), [(0, "off"), (1, "enforce")])
def test_policy_holds_through_its_last_day(day: int, holds: str) -> None:
    gate = Gate(policy="off", reason="a worker without HTTP", until=TODAY)
    assert policy_on(gate, TODAY + timedelta(days=day)) == holds


@given(findings)
def test_what_is_kept_is_read_again(found: tuple[Finding, ...]) -> None:
    for judged in verdict(found, Gate(), (), TODAY).judged:
        assert Judged.load(judged.show()) == judged
