"""A task that changes the environment has the lane meanwhile, whenever it is cleared, and gives way to what went instead."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import PolicyFailed, Superseded, Transient
from slipway.ledger.records import Holder
from slipway.release import Status
from slipway.stages import connections, lanes


class Lane:
    """The records of a service, and its lane. :param holder: run that has it."""

    def __init__(self, books: Any, holder: str | None) -> None:
        self.books, self.holder, self.ttl_s = books, holder, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.books, name)

    def lane_renew(self, service: str, environment: str, run_id: str, ttl_s: float) -> bool:
        self.ttl_s = ttl_s
        return self.holder == run_id

    def lane_acquire(self, service: str, environment: str, run_id: str, ttl_s: float) -> Holder | None:
        if self.holder not in (None, run_id):
            return Holder(str(self.holder), self.books.releases["svc.a"].started_at)
        self.holder = run_id
        return None


@pytest.fixture
def enter(books: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give what lets a task of a release begin, with the lane as it is then."""

    def enter(run: str, *, lane: str | None, going_back: bool = False) -> Lane:
        ledger = Lane(books, lane)
        monkeypatch.setattr(connections, "ledger", lambda: ledger)
        monkeypatch.setattr(connections, "platform", lambda: SimpleNamespace(environment="staging"))
        context: Any = {
            "task": SimpleNamespace(execution_timeout=timedelta(seconds=60)),
            "dag_run": SimpleNamespace(run_id=run),
            "params": {"service": "svc"},
        }
        lanes.held(context, going_back=going_back)
        return ledger

    return enter


@pytest.mark.parametrize("lane", ["svc.b", None])
def test_who_has_the_lane_keeps_it_and_who_let_it_expire_takes_it_again(enter: Any, lane: str | None) -> None:
    ledger = enter("svc.b", lane=lane)
    assert ledger.holder == "svc.b"
    assert ledger.ttl_s == 60 + lanes.MARGIN_S


def test_another_run_that_has_the_lane_is_left_alone(enter: Any) -> None:
    with pytest.raises(Transient, match=r"svc\.c has the lane of svc in staging, and this run's has expired"):
        enter("svc.b", lane="svc.c")


def test_a_cleared_task_gives_way_to_what_was_deployed_since_and_takes_no_lane(
    books: Any, enter: Any
) -> None:
    newer = books.add("svc.c", Status.PASSED, deployed=True)
    with pytest.raises(Superseded, match=f"superseded by svc.c: commit {newer.commit}") as caught:
        enter("svc.b", lane=None)
    assert caught.value.by == "svc.c"


def test_what_was_rolled_back_gives_way_to_nobody_and_nobody_to_it(books: Any, enter: Any) -> None:
    books.add("svc.c", Status.RUNNING, deployed=True)
    books.rolled_back("svc.c", "svc.b", "no")
    assert enter("svc.b", lane=None).holder == "svc.b"
    books.reasons.clear()
    assert enter("svc.c", lane=None).holder == "svc.c"


def test_a_commit_that_is_held_changes_nothing_but_goes_back(books: Any, enter: Any) -> None:
    books.reasons["b" * 40] = "not before Monday"
    with pytest.raises(PolicyFailed, match="is held in staging"):
        enter("svc.b", lane="svc.b")
    assert enter("svc.b", lane="svc.b", going_back=True).holder == "svc.b"
