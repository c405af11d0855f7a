"""What is said of releases is sent once, in order, and never an older word over a newer one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from slipway.ledger import Ledger, Release, outbox
from slipway.release import Status, run_id

A, B = "a" * 40, "b" * 40
TO = "gitea:forge:services/svc"
START = datetime(2026, 1, 1, tzinfo=UTC)


def release(ledger: Ledger, status: Status, commit: str = A, repeat: int = 0) -> Release:
    """Give a release, which begins if need be, as it now stands."""
    run = run_id("svc", commit, repeat)
    if ledger.record(run) is None or status is Status.RUNNING:
        ledger.begin("svc", "staging", commit, run, "refs/heads/main", START + timedelta(hours=repeat))
    if status is not Status.RUNNING:
        ledger.finish(run, status, reason="why", stage="gate")
    found = ledger.record(run)
    assert found is not None
    return found


def say(ledger: Ledger, status: Status, commit: str = A, repeat: int = 0) -> None:
    found = release(ledger, status, commit, repeat)
    outbox.say(ledger, found, TO, {"said": f"{status} {found.run_id}"})


def sent(ledger: Ledger) -> list[str]:
    """Send all that is due; give what that was."""
    found = []
    while letter := outbox.next_of(ledger, "svc", TO):
        outbox.sent(ledger, letter.id)
        found.append(letter.words["said"].split()[0])
    return found


def age(ledger: Ledger, **ago: float) -> None:
    """Let time pass: what was tried, and what is claimed, lies so far back."""
    with ledger.transaction() as session:
        values = {"by": timedelta(**ago)}
        session.execute(
            text("UPDATE outbox SET tried_at = tried_at - :by, claimed_until = claimed_until - :by"), values
        )


def test_each_word_is_sent_once_however_often_it_is_said(ledger: Ledger) -> None:
    for status in (Status.RUNNING, Status.RUNNING, Status.FAILED, Status.FAILED):
        say(ledger, status)
        outbox.say(ledger, release(ledger, status), TO, {"said": "again"})
    assert sent(ledger) == ["failed"]  # what had not been sent when it ended need not be
    assert sent(ledger) == []


def test_run_that_is_cleared_and_ends_otherwise_is_told_again(ledger: Ledger) -> None:
    told = []
    for status in (Status.RUNNING, Status.FAILED, Status.RUNNING, Status.PASSED):
        say(ledger, status)
        told += sent(ledger)
    assert told == ["running", "failed", "running", "passed"]


def test_word_of_an_older_run_does_not_come_over_a_newer_ones(ledger: Ledger) -> None:
    say(ledger, Status.RUNNING)
    say(ledger, Status.RUNNING, repeat=1)
    say(ledger, Status.FAILED)  # late
    assert sent(ledger) == ["running"]
    say(ledger, Status.PASSED, repeat=1)
    assert sent(ledger) == ["passed"]
    say(ledger, Status.PASSED)  # cleared, though another run of the commit has been since
    assert sent(ledger) == []


def test_one_sends_of_a_commit_at_a_time_and_others_of_other_commits(ledger: Ledger) -> None:
    say(ledger, Status.RUNNING)
    say(ledger, Status.RUNNING, B)
    first, second = outbox.next_of(ledger, "svc", TO), outbox.next_of(ledger, "svc", TO)
    assert (first and first.commit, second and second.commit) == (A, B)
    say(ledger, Status.PASSED)
    assert outbox.next_of(ledger, "svc", TO) is None
    assert first
    outbox.sent(ledger, first.id)
    assert sent(ledger) == ["passed"]


def test_who_was_killed_while_he_sent_is_followed_by_one_who_looks_first(ledger: Ledger) -> None:
    say(ledger, Status.PASSED)
    first = outbox.next_of(ledger, "svc", TO)
    assert first
    assert not first.is_repeat
    assert outbox.next_of(ledger, "svc", TO) is None
    age(ledger, seconds=61)
    again = outbox.next_of(ledger, "svc", TO)
    assert again
    assert (again.id, again.is_repeat) == (first.id, True)


def test_what_is_not_taken_is_due_again_after_longer_and_longer_pauses_and_not_for_ever(
    ledger: Ledger,
) -> None:
    say(ledger, Status.PASSED)
    tries = 0
    for wait in (0, 3, 5, 9, 17, *[601] * 200):
        age(ledger, seconds=wait)
        letter = outbox.next_of(ledger, "svc", TO)
        if letter is None:
            break
        tries += 1
        outbox.failed(ledger, letter.id, "forge.failed: away")
        assert outbox.next_of(ledger, "svc", TO) is None
    assert tries == outbox.ATTEMPTS_MOST
    assert outbox.unsent(ledger, "svc") == 0


def test_what_one_service_has_to_say_is_not_sent_as_anothers(ledger: Ledger) -> None:
    say(ledger, Status.RUNNING)
    assert outbox.next_of(ledger, "other", TO) is None
    assert outbox.next_of(ledger, "svc", "github:elsewhere") is None
    assert outbox.unsent(ledger, "svc") == 1


def test_services_of_one_repository_are_each_told_of_a_commit(ledger: Ledger) -> None:
    for service in ("svc", "web"):
        run = run_id(service, A)
        ledger.begin(service, "staging", A, run, "refs/heads/main", START)
        found = ledger.record(run)
        assert found
        outbox.say(ledger, found, TO, {"said": "running"})
    for service in ("svc", "web"):
        assert outbox.next_of(ledger, service, TO), service


def test_people_are_told_an_end_of_a_commit_once_whatever_run_it_was(ledger: Ledger) -> None:
    def told(status: Status, repeat: int, **known: str) -> bool:
        found = release(ledger, status, repeat=repeat)
        if known:
            ledger.update(found.run_id, **known)  # type: ignore[arg-type]
            found = ledger.record(found.run_id) or found
        outbox.say(ledger, found, "slack:chat", {"title": "t"}, once=True)
        letter = outbox.next_of(ledger, "svc", "slack:chat")
        if letter:
            outbox.sent(ledger, letter.id)
        return letter is not None

    assert told(Status.FAILED, 0)
    assert not told(Status.FAILED, 0)
    assert not told(Status.FAILED, 1)
    assert told(Status.PASSED, 1)
    assert told(Status.FAILED, 2, digest=f"sha256:{'0' * 64}")  # another image of the commit


steps = st.lists(
    st.tuples(
        st.sampled_from(["say", "send", "kill", "fail"]),
        st.sampled_from([Status.RUNNING, Status.PASSED, Status.FAILED]),
        st.integers(0, 2),
    ),
    max_size=14,
)


@pytest.mark.timeout(120)
@given(steps=steps)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_last_word_is_the_true_one_whatever_happens(ledger: Ledger, steps: list[Any]) -> None:
    with ledger.transaction() as session:
        session.execute(text("TRUNCATE releases, wishes CASCADE"))
    shown: list[str] = []
    newest = -1
    last: dict[int, Status] = {}
    for what, status, repeat in steps:
        if what == "say":
            say(ledger, status, repeat=repeat)
            last[repeat], newest = status, max(newest, repeat)
            continue
        letter = outbox.next_of(ledger, "svc", TO)
        if letter is None:
            continue
        if what != "fail" and (not letter.is_repeat or shown[-1:] != [letter.words["said"]]):
            shown.append(letter.words["said"])
        if what == "send":
            outbox.sent(ledger, letter.id)
        elif what == "fail":
            outbox.failed(ledger, letter.id, "away")
        age(ledger, seconds=700)
    while letter := outbox.next_of(ledger, "svc", TO):
        if not letter.is_repeat or shown[-1:] != [letter.words["said"]]:
            shown.append(letter.words["said"])
        outbox.sent(ledger, letter.id)
    if newest >= 0:
        assert shown[-1] == f"{last[newest]} {run_id('svc', A, newest)}"
    assert all(one != other for one, other in pairwise(shown))  # nothing twice in a row
    runs = [one.split()[1] for one in shown]
    assert runs == sorted(runs)  # never an older run's over a newer one's
