"""What a gate found ends its stage by the catalog's words: it stops with what to do, or passes and says why."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.catalog.service import FindingWaiver, Gate
from slipway.errors import Permanent, PolicyFailed
from slipway.release.findings import Finding, Severity, Verdict, identified
from slipway.stages import verdicts
from slipway.stages.verdicts import Judge

TODAY, COMMIT = date(2026, 11, 26), "a" * 40
STAGE = "scan.sast"


class Kept:
    """What the ledger keeps of findings. :param old: fingerprints of the baseline."""

    def __init__(self) -> None:
        self.verdict: Verdict | None = None
        self.old: set[str] | None = None
        self.shrunk: list[set[str]] = []

    def keep(self, _ledger: Any, run_id: str, stage: str, verdict: Verdict) -> None:
        assert (run_id, stage) == ("run", STAGE)
        self.verdict = verdict

    def baseline(self, _ledger: Any, *_what: str, own: Any = None) -> Any:
        return frozenset(own) if self.old is None and own is not None else self.old

    def shrink(self, _ledger: Any, *_what: str) -> int:
        self.shrunk.append(set(_what[-1]))
        return 1


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Kept:
    made = Kept()
    monkeypatch.setattr(
        verdicts, "kept", SimpleNamespace(keep=made.keep, baseline=made.baseline, shrink=made.shrink)
    )
    return made


FOUND = identified(
    STAGE,
    [
        Finding("a.py", 3, "sql", "SQL of strings", "pass values as parameters", Severity.HIGH, "x"),
        Finding("b.py", 1, "shell", "a shell runs it", "", Severity.HIGH, "y"),
    ],
)


def judge(**words: Any) -> Judge:
    return Judge(Gate(**words), "web", STAGE, TODAY, "run", COMMIT)


def end(judge: Judge, found: Any = FOUND) -> str | None:
    return judge.end(None, judge.verdict(None, found))  # type: ignore[arg-type]


def waiver(**words: Any) -> FindingWaiver:
    plain = {
        "rule": "sql",
        "path": "a.py",
        "reason": "the column is a constant",
        "owner": "web",
        "until": TODAY,
    }
    return FindingWaiver(**{**plain, **words})


def test_what_stops_says_where_which_rule_and_what_to_do(kept: Kept) -> None:
    with pytest.raises(PolicyFailed) as refused:
        end(judge())
    error = refused.value
    assert (error.code, error.message) == ("gate.failed", "scan.sast failed: a.py:3: sql: SQL of strings")
    assert error.lines[0].strip() == "what to do: pass values as parameters"
    assert "b.py:1: shell: a shell runs it" in error.lines
    assert f"slipway waive web {FOUND[0].fingerprint[:12]}" in error.remedy
    assert f"`baseline: {COMMIT}`" in error.remedy
    assert kept.verdict
    assert len(kept.verdict.judged) == 2, "what stopped is kept, too"


def test_what_is_waived_warned_of_and_unused_is_told(kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PolicyFailed) as refused:
        end(judge(waivers=(waiver(), waiver(rule="other"))))
    assert refused.value.message == "scan.sast failed: b.py:1: shell: a shell runs it"
    said = capsys.readouterr().out
    assert (
        "waived: a.py:3: sql: SQL of strings; waived by web until 2026-11-26: the column is a constant"
        in said
    )
    assert "unused waiver: other in a.py (until 2026-11-26)" in said
    assert end(judge(policy="warn")) == "2 that only warn"


def test_what_is_found_again_is_new_once_it_was_gone(kept: Kept) -> None:
    kept.old = {one.fingerprint for one in FOUND}
    assert end(judge(baseline=COMMIT), FOUND[:1]) == "1 of the baseline"
    assert kept.shrunk == [{FOUND[0].fingerprint}]
    kept.old = {FOUND[0].fingerprint}
    with pytest.raises(PolicyFailed, match=r"b\.py:1"):
        end(judge(baseline=COMMIT, waivers=()))
    kept.old = set()
    with pytest.raises(PolicyFailed) as refused:
        end(judge(baseline=COMMIT))
    assert "baseline:" not in refused.value.remedy, "what comes later is no baseline"
    assert len(kept.shrunk) == 1, "what stopped shrinks nothing"


def test_baseline_of_the_commit_itself_is_taken_of_what_was_found(kept: Kept) -> None:
    assert end(judge(baseline=COMMIT)) == "2 of the baseline"


def test_baseline_of_which_nothing_is_known_is_the_catalogs_fault(kept: Kept) -> None:
    with pytest.raises(Permanent) as refused:
        end(judge(baseline="b" * 40))
    assert refused.value.code == "gate.baseline-unknown"


def test_gate_that_fails_without_a_list_stops_unless_it_only_warns(kept: Kept) -> None:
    failure = PolicyFailed("scan.sast failed: there is nothing to scan", code="gate.failed")
    with pytest.raises(PolicyFailed) as refused:
        judge().failed(None, failure)  # type: ignore[arg-type]
    assert refused.value is failure
    warned = judge(policy="warn").failed(None, failure)  # type: ignore[arg-type]
    assert warned == "only warns: scan.sast failed: there is nothing to scan"


def test_off_holds_through_its_last_day() -> None:
    words = {"policy": "off", "reason": "a worker without HTTP"}
    assert judge(**words, until=TODAY).off() == (
        "switched off in the catalog until 2026-11-26: a worker without HTTP"
    )
    assert judge(**words, until=date(2026, 11, 25)).off() is None


def test_report_that_is_no_sarif_is_refused_and_none_at_all_is_no_finding() -> None:
    with pytest.raises(PolicyFailed) as refused:
        judge().found({"sast.sarif": b"{}"})
    assert refused.value.code == "gate.report-unreadable"
    assert judge().found({"other.sarif": b"{}"}) == ()


def test_evidence_gives_back_what_was_found() -> None:
    assert verdicts.of_kept(verdicts.to_keep(FOUND)) == FOUND
    assert verdicts.of_kept(None) == ()
