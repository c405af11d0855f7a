"""What was asked for is in the ledger before any run of it begins, and is asked for once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from slipway.errors import Superseded, Transient
from slipway.ledger import Ledger, wishes
from slipway.release import Status, run_id
from slipway.stages import accept

A, B = "a" * 40, "b" * 40
MAIN = "refs/heads/main"


def ask(ledger: Ledger, commit: str, *, is_head: bool = True, **more: Any) -> wishes.Asked:
    given = {"ref": MAIN, "asked_by": "push", **more}
    return wishes.ask(ledger, "svc", "staging", commit, is_head=is_head, **given)


def test_branch_that_goes_back_before_any_run_has_begun_is_a_new_wish(ledger: Ledger) -> None:
    # all of it while the DAG is paused: no run has begun, so the releases say nothing
    asked = [ask(ledger, one) for one in (A, B, A, A)]
    assert [(one.run_id, one.is_new, one.is_repeat) for one in asked] == [
        (run_id("svc", A), True, False),
        (run_id("svc", B), True, False),
        (run_id("svc", A, 1), True, True),
        (run_id("svc", A, 1), False, False),
    ]
    assert {one.status for one in asked} == {None}


def test_of_many_who_ask_at_once_one_asks_for_a_new_run(ledger: Ledger) -> None:
    ask(ledger, A)
    ask(ledger, B)
    with ThreadPoolExecutor(2) as pool:  # as many as the ledger keeps connections for
        asked = list(pool.map(lambda _: ask(ledger, A), range(8)))
    assert {one.run_id for one in asked} == {run_id("svc", A, 1)}
    assert [one.is_new for one in asked].count(True) == 1


def test_release_has_the_place_in_the_order_that_its_wish_has(ledger: Ledger) -> None:
    first, second = ask(ledger, A), ask(ledger, B)
    # Airflow starts them the other way round
    later = ledger.begin("svc", "staging", B, second.run_id, MAIN, requested_at=first.requested_at)
    ledger.begin("svc", "staging", A, first.run_id, MAIN, requested_at=later.requested_at + timedelta(1))
    assert [one.run_id for one in ledger.newer(first.run_id)] == [second.run_id]
    assert ledger.newer(second.run_id) == []
    assert ask(ledger, B).status is Status.RUNNING


def test_what_the_refresh_asks_for_comes_right_after_what_it_repeats(ledger: Ledger) -> None:
    deployed = ask(ledger, A)
    newer = ask(ledger, B)
    at = deployed.requested_at + timedelta(microseconds=1)
    again = ask(ledger, A, is_head=False, again=True, asked_by="refresh", requested_at=at)
    for one, commit in ((deployed, A), (newer, B), (again, A)):
        ledger.begin("svc", "staging", commit, one.run_id, MAIN)
    assert [one.run_id for one in ledger.newer(again.run_id)] == [newer.run_id]


def test_a_run_of_airflows_own_form_is_a_wish_from_its_first_task_on(ledger: Ledger) -> None:
    ask(ledger, A)
    ask(ledger, B)
    ledger.begin("svc", "staging", A, "manual__1", MAIN)
    look = wishes.look(ledger, "svc", "staging", B)
    assert look is not None
    assert look[0].is_new is False  # B is the head still, and a person's A is left alone
    back = ask(ledger, A)  # now the branch comes to what was asked for by hand
    assert (back.run_id, back.is_new, back.status) == ("manual__1", False, Status.RUNNING)
    assert ask(ledger, B).run_id == run_id("svc", B, 1)


def test_nothing_is_said_of_a_service_that_nobody_asked_for(ledger: Ledger) -> None:
    ask(ledger, A)
    assert wishes.look(ledger, "other", "staging", A) is None
    assert wishes.look(ledger, "svc", "production", A) is None


def test_commit_that_a_forced_push_took_away_while_it_waited_is_superseded_not_failed(ledger: Ledger) -> None:
    first, second = ask(ledger, A), ask(ledger, B)
    back = ask(ledger, A)
    for one, commit in ((first, A), (second, B)):
        ledger.begin("svc", "staging", commit, one.run_id, MAIN)
    with pytest.raises(Transient, match=f"{back.run_id}, which was asked for since, has not begun"):
        accept.give_way_to_newer(ledger, second.run_id, B, "main")
    ledger.begin("svc", "staging", A, back.run_id, MAIN)
    with pytest.raises(Superseded, match=f"superseded by {back.run_id}: main was moved") as caught:
        accept.give_way_to_newer(ledger, second.run_id, B, "main")
    assert caught.value.by == back.run_id
    ledger.finish(second.run_id, Status.SUPERSEDED, superseded_by=back.run_id)
    accept.give_way_to_newer(ledger, back.run_id, A, "main")  # nothing is newer
