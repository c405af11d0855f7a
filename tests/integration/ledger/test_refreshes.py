"""What the nightly refresh asks of the ledger."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text

from slipway.errors import Permanent
from slipway.ledger import Ledger, refreshes, reports
from slipway.release import Outcome, Status, evidence_key, run_id

A, B, C = "a" * 40, "ab" * 20, "c" * 40


def released(ledger: Ledger, commit: str, *, tree: str, deployed: bool = True, good: bool = True) -> str:
    run = run_id("svc", commit)
    ledger.begin("svc", "staging", commit, run, "refs/heads/main")
    ledger.update(run, tree=tree, digest=f"sha256:{commit[0] * 64}", images={"base-python": "r/b@sha256:1"})
    ledger.record_evidence(evidence_key(tree, "t", ["x"]), "build.lint", Outcome.PASSED, run, tree, 1.0)
    reports.keep(ledger, run, "build.lint", {"lint.sarif": b"12345"})
    if deployed:
        ledger.deployed(run)
    ledger.finish(run, Status.PASSED if good else Status.FAILED)
    return run


def aged(ledger: Ledger, days: int) -> None:
    """Make everything that is there older."""
    with ledger.engine.begin() as connection:
        for statement in (
            "UPDATE releases SET started_at = started_at - :age, finished_at = finished_at - :age",
            "UPDATE evidence SET recorded_at = recorded_at - :age",
            "UPDATE refreshes SET started_at = started_at - :age, finished_at = finished_at - :age",
        ):
            connection.execute(text(statement), {"age": timedelta(days=days)})


def test_active_is_what_was_applied_last_also_if_it_failed(ledger: Ledger) -> None:
    assert refreshes.active(ledger, "svc", "staging") is None
    first = released(ledger, A, tree="1")
    assert refreshes.active(ledger, "svc", "staging") == ledger.record(first)
    bad = released(ledger, B, tree="2", good=False)
    found = refreshes.active(ledger, "svc", "staging")
    assert found is not None
    assert (found.run_id, found.images) == (bad, {"base-python": "r/b@sha256:1"})
    last = ledger.last_good("svc", "staging")
    assert last is not None
    assert last.run_id == first


def test_the_release_that_is_asked_for_first_stands(ledger: Ledger) -> None:
    with pytest.raises(Permanent, match="no refresh"):
        refreshes.asked_for(ledger, "night", "svc", "svc.1")
    begun = refreshes.begin(ledger, "night", "staging")
    assert refreshes.asked_for(ledger, "night", "svc") is None
    assert refreshes.asked_for(ledger, "night", "svc", "svc.1") == "svc.1"
    assert refreshes.asked_for(ledger, "night", "svc", "svc.2") == "svc.1"
    assert refreshes.asked_for(ledger, "night", "other", "other.1") == "other.1"
    assert refreshes.asked_for(ledger, "night", "svc") == "svc.1"
    assert refreshes.begin(ledger, "night", "staging") == begun


def test_report_is_kept_and_the_newest_is_found(ledger: Ledger) -> None:
    assert refreshes.newest(ledger) is None
    for night in ("one", "two"):
        refreshes.begin(ledger, night, "staging")
        refreshes.finish(ledger, night, "passed", {"night": night})
    assert (found := refreshes.newest(ledger)) is not None
    assert (found.run_id, found.report) == ("two", {"night": "two"})
    again = refreshes.finish(ledger, "one", "failed", {"night": 1})
    assert again == refreshes.newest(ledger, "one")
    assert (again.status, again.report) == ("failed", {"night": 1})


def test_published_is_newest_first(ledger: Ledger) -> None:
    released(ledger, A, tree="1")
    released(ledger, B, tree="2", good=False)
    ledger.begin("svc", "staging", C, run_id("svc", C), "refs/heads/main")
    assert [(commit, status) for commit, _, status in refreshes.published(ledger, "svc")] == [
        (B, Status.FAILED),
        (A, Status.PASSED),
    ]
    assert [one.commit for one in refreshes.running(ledger, "svc")] == [C]
    assert refreshes.running(ledger, "other") == []
    assert set(refreshes.known(ledger, ["svc"])) == {run_id("svc", one) for one in (A, B, C)}


def test_old_evidence_and_reports_are_forgotten_but_for_what_is_in_use(ledger: Ledger) -> None:
    old = released(ledger, A, tree="1")
    last_good = released(ledger, B, tree="2")
    active = released(ledger, C, tree="3", good=False)
    runs = run_id("svc", "d" * 40)
    ledger.begin("svc", "staging", "d" * 40, runs, "refs/heads/main")
    ledger.update(runs, tree="1")  # the tree of the oldest, once more
    refreshes.begin(ledger, "night", "staging")
    refreshes.finish(ledger, "night", "passed", {})
    aged(ledger, 10)
    refreshes.begin(ledger, "tonight", "staging")
    nothing = {"evidence": (0, 0), "reports": (0, 0), "refreshes": (0, 0)}
    assert refreshes.forget(ledger, 11) == nothing
    assert refreshes.forget(ledger, 9) == {"evidence": (0, 0), "reports": (1, 5), "refreshes": (1, 2)}
    assert reports.read(ledger, old, "build.lint") == {}
    for kept in (last_good, active):
        assert set(reports.read(ledger, kept, "build.lint")) == {"lint.sarif"}
    ledger.finish(runs, Status.FAILED)  # now nothing of the tree 1 is in use any more
    assert refreshes.forget(ledger, 9) == {**nothing, "evidence": (1, 0)}
    assert ledger.evidence(evidence_key("1", "t", ["x"])) is None
    assert ledger.evidence(evidence_key("3", "t", ["x"])) is not None
    assert refreshes.forget(ledger, 9) == nothing
    assert refreshes.newest(ledger) is not None
    assert ledger.record(old) is not None
