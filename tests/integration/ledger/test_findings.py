"""Findings are kept by run and gate; a baseline is taken once of the commit that the catalog names, shrinks, and never grows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from slipway.catalog.service import Gate
from slipway.ledger import Ledger, findings
from slipway.release.findings import Finding, Severity, Verdict, identified, verdict

SAST = "scan.sast"
FOUND = identified(SAST, [Finding(f"{one}.py", 1, "sql", "m", severity=Severity.HIGH) for one in "abc"])
A, B, C = (one.fingerprint for one in FOUND)


def judged(*prints: str, policy: str = "enforce") -> Verdict:
    found = [one for one in FOUND if one.fingerprint in prints]
    return verdict(found, Gate(policy=policy), (), date(2026, 11, 26))  # type: ignore[arg-type]


def test_what_followed_is_given_back_and_the_newest_stands(ledger: Ledger, begin: Callable[..., str]) -> None:
    run = begin()
    assert findings.of(ledger, run) == {}
    findings.keep(ledger, run, SAST, judged(A, B))
    findings.keep(ledger, run, SAST, judged(A, policy="warn"))
    findings.keep(ledger, run, "build.lint", Verdict("off"))
    kept = findings.of(ledger, run)
    assert kept == {"build.lint": Verdict("off"), SAST: judged(A, policy="warn")}


def test_baseline_is_what_the_ledger_has_of_that_commit_and_only_shrinks(
    ledger: Ledger, begin: Callable[..., str]
) -> None:
    run = begin(service="shrinks")
    release = ledger.record(run)
    assert release
    service, commit = release.service, release.commit
    assert findings.baseline(ledger, service, SAST, commit) is None
    findings.keep(ledger, run, SAST, judged(A, B))
    assert findings.baseline(ledger, service, SAST, commit) == {A, B}
    findings.keep(ledger, run, SAST, judged(A, B, C))
    assert findings.baseline(ledger, service, SAST, commit) == {A, B}, "it was taken once"
    assert findings.shrink(ledger, service, SAST, commit, [A, C]) == 1
    assert findings.shrink(ledger, service, SAST, commit, [A, B, C]) == 0
    assert findings.baseline(ledger, service, SAST, commit, own=[A, B, C]) == {A}
    assert findings.shrink(ledger, service, SAST, "e" * 40, []) == 0, "another's"
    assert findings.shrink(ledger, service, SAST, commit, []) == 1
    assert findings.baseline(ledger, service, SAST, commit) == set(), "an empty one is not taken again"
    assert findings.baselines(ledger, service)[SAST].commit == commit
    assert findings.baselines(ledger, "other") == {}


def test_another_commit_in_the_catalog_is_another_baseline(ledger: Ledger, begin: Callable[..., str]) -> None:
    findings.keep(ledger, run := begin(service="another"), SAST, judged(A))
    release = ledger.record(run)
    assert release
    assert findings.baseline(ledger, release.service, SAST, release.commit) == {A}
    assert findings.baseline(ledger, release.service, SAST, "e" * 40, own=[B]) == {B}
    assert findings.baseline(ledger, release.service, "scan.secrets", "e" * 40) is None


def test_gate_that_was_off_is_no_baseline(ledger: Ledger, begin: Callable[..., str]) -> None:
    findings.keep(ledger, run := begin(service="off"), SAST, Verdict("off"))
    release = ledger.record(run)
    assert release
    assert findings.baseline(ledger, release.service, SAST, release.commit) is None
