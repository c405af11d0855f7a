"""What was asked for later, and how far it is."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from slipway.ledger import Ledger
from slipway.release import Outcome, Status, run_id

A = "a" * 40
B = "ab" * 20
C = "c" * 40


def test_newer_releases_are_those_that_were_asked_for_later(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    for commit, seconds in ((A, 0), (B, 10), (C, -10)):
        at = now + timedelta(seconds=seconds)
        ledger.begin("svc", "staging", commit, run_id("svc", commit), "refs/heads/main", requested_at=at)
    ledger.begin(
        "other", "staging", A, run_id("other", A), "refs/heads/main", requested_at=now + timedelta(hours=1)
    )
    a, b, c = (run_id("svc", commit) for commit in (A, B, C))
    [only] = ledger.newer(a)
    assert (only.run_id, only.commit, only.requested_at) == (b, B, now + timedelta(seconds=10))
    assert (only.running, only.ready, only.failing, only.deployed) == (True, False, False, False)
    assert [one.run_id for one in sorted(ledger.newer(c), key=lambda one: one.requested_at)] == [a, b]
    assert ledger.newer(b) == []
    # a cleared run keeps its place in the queue
    ledger.begin("svc", "staging", C, c, "refs/heads/main", requested_at=now + timedelta(hours=2))
    assert len(ledger.newer(c)) == 2


def test_newer_release_is_ready_failing_deployed_as_recorded(
    ledger: Ledger, begin: Callable[..., str]
) -> None:
    older, newer = begin(A), begin(B)
    ledger.ready(newer)
    assert ledger.newer(older)[0].ready
    ledger.begin("svc", "staging", B, newer, "refs/heads/main")  # begins again: no longer ready
    assert not ledger.newer(older)[0].ready
    ledger.stage(newer, "test.unit", Outcome.FAILED, 1)
    assert ledger.newer(older)[0].failing
    ledger.stage(newer, "test.unit", Outcome.PASSED, 1)
    ledger.deployed(newer)
    ledger.finish(newer, Status.FAILED)
    [seen] = ledger.newer(older)
    assert (seen.failing, seen.deployed, seen.running) == (False, True, False)


def test_first_request_of_a_commit(ledger: Ledger, begin: Callable[..., str]) -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    ledger.begin("svc", "staging", A, run_id("svc", A), "refs/heads/main", requested_at=first)
    begin(A, repeat=1)
    assert ledger.first_request("svc", A) == first
    assert abs(ledger.first_request("svc", B) - datetime.now(UTC)) < timedelta(minutes=1)
