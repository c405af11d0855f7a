"""A release as the queue sees it, and the others that matter to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from slipway.errors import Permanent
from slipway.ledger import Ledger, wishes
from slipway.release import Contender, Outcome, Status, run_id
from slipway.stages.waiting import LaneFree, LaneWait

A, B, C, D = "a" * 40, "ab" * 20, "c" * 40, "d" * 40
START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def asked(ledger: Ledger) -> Callable[..., str]:
    """Gives a function that records a wish for a commit, so many seconds after the start."""

    def ask(commit: str, second: float, by: str = "push") -> str:
        at = START + timedelta(seconds=second)
        return wishes.ask(
            ledger,
            "svc",
            "staging",
            commit,
            ref="refs/heads/main",
            is_head=by == "push",
            asked_by=by,
            requested_at=at,
        ).run_id

    return ask


@pytest.fixture
def begun(ledger: Ledger, asked: Callable[..., str]) -> Callable[..., str]:
    """Gives a function that records a release which has begun."""

    def begin(commit: str, second: float) -> str:
        run = asked(commit, second)
        ledger.begin("svc", "staging", commit, run, "refs/heads/main")
        return run

    return begin


def seen(ledger: Ledger, run: str) -> dict[str, Contender]:
    own, others = ledger.queued(run)
    assert own.run_id == run
    return {one.run_id: one for one in others}


def test_what_was_only_asked_for_is_there(
    ledger: Ledger, begun: Callable[..., str], asked: Callable[..., str]
) -> None:
    own, wish = begun(A, 0), asked(B, 5)
    [other] = seen(ledger, own).values()
    assert (other.run_id, other.commit, other.begun, other.running) == (wish, B, False, False)
    assert other.may_go
    assert other.requested_at == START + timedelta(seconds=5)


def test_it_tells_how_far_each_is(ledger: Ledger, begun: Callable[..., str]) -> None:
    own, other = begun(A, 0), begun(B, 5)

    def flags() -> set[str]:
        one = seen(ledger, own)[other]
        names = ("running", "accepted", "ending", "ready", "failing", "held", "deployed", "answered")
        return {name for name in names if getattr(one, name)}

    assert flags() == {"running"}
    ledger.stage(other, "accept", Outcome.PASSED, 1)
    assert flags() == {"running", "accepted"}
    ledger.stage(other, "test.unit", Outcome.SUPERSEDED, 1)
    assert flags() == {"running", "accepted", "ending"}
    ledger.stage(other, "test.unit", Outcome.FAILED, 1)
    assert flags() == {"running", "accepted", "failing"}
    ledger.stage(other, "test.unit", Outcome.PASSED, 1)
    ledger.ready(other)
    assert flags() == {"running", "accepted", "ready"}
    ledger.deployed(other)
    ledger.finish(other, Status.PASSED)
    assert flags() == {"ready", "deployed", "answered"}
    ledger.hold("svc", "staging", B, "bad")
    assert flags() == {"ready", "held", "answered"}


def test_held_commit_is_known_before_its_run_begins(
    ledger: Ledger, begun: Callable[..., str], asked: Callable[..., str]
) -> None:
    own, wish = begun(A, 0), asked(B, 5)
    ledger.hold("svc", "staging", B, "bad")
    assert not seen(ledger, own)[wish].may_go


def test_what_was_answered_long_ago_is_left_out_and_what_still_goes_is_not(
    ledger: Ledger, begun: Callable[..., str]
) -> None:
    running, answered, superseded, own = begun(A, 0), begun(B, 5), begun(C, 10), begun(D, 15)
    ledger.finish(answered, Status.FAILED)
    ledger.finish(superseded, Status.SUPERSEDED)
    others = seen(ledger, own)
    assert set(others) == {running, answered, superseded}
    assert (others[superseded].answered, others[answered].answered) == (False, True)
    ledger.finish(running, Status.PASSED)
    assert set(seen(ledger, own)) == {answered, superseded}


def test_release_that_the_refresh_asks_for_is_nobodys_push(
    ledger: Ledger, begun: Callable[..., str], asked: Callable[..., str]
) -> None:
    own, refresh = begun(A, 10), asked(B, 0, "refresh")
    assert seen(ledger, own)[refresh].is_refresh


def test_release_may_end_for_one_that_has_not_begun(
    ledger: Ledger, begun: Callable[..., str], asked: Callable[..., str]
) -> None:
    own, wish = begun(A, 0), asked(B, 5)
    assert ledger.finish(own, Status.SUPERSEDED, superseded_by=wish).superseded_by == wish


def test_unknown_run_is_none_of_the_queue(ledger: Ledger) -> None:
    with pytest.raises(Permanent, match="has no release"):
        ledger.queued(run_id("svc", A))


def test_wait_for_the_lane_sees_it_free_and_a_newer_one_ready(
    ledger: Ledger, begun: Callable[..., str]
) -> None:
    older, own, newer = begun(A, 0), begun(B, 5), begun(C, 10)
    rollback = LaneFree("svc", "staging")
    wait, in_order = (LaneWait("svc", "staging", own, mode) for mode in ("newest", "every-commit"))

    def woken() -> tuple[bool, ...]:
        return tuple(one.changed(ledger) for one in (rollback, wait, in_order))

    assert woken() == (True, True, False)  # in order, the older one goes first
    ledger.lane_acquire("svc", "staging", older, 60)
    assert woken() == (False, False, False)
    ledger.ready(newer)
    assert woken() == (False, True, False)
    ledger.finish(older, Status.PASSED)
    ledger.lane_release("svc", "staging", older)
    assert woken() == (True, True, True)
