"""A rollback by hand takes the lane once it knows what it leaves and what for, and undoes nobody else's work."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, TaskDeferred

from slipway.errors import PolicyFailed
from slipway.ledger import rollbacks
from slipway.ledger.records import Holder
from slipway.ledger.rollbacks import Rollback
from slipway.release import Candidate, Choice, Status
from slipway.release.given import Restored
from slipway.stages import by_hand, waiting

ASKED = Rollback(
    "rollback.1",
    "svc",
    "staging",
    "anna",
    "slow",
    None,
    None,
    "waiting",
    datetime(2026, 1, 1, tzinfo=UTC),
    None,
)
CHOSEN = replace(ASKED, from_run_id="svc.b", to_run_id="svc.a")
GOOD = Choice(Candidate("svc.a", "a" * 40), ("svc.z (commit zzz): it is held",))
WHY = "rolled back by hand by anna (rollback.1): slow"


@pytest.fixture(autouse=True)
def chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        rollbacks, "chosen", lambda _, run_id, left, to: replace(ASKED, from_run_id=left, to_run_id=to)
    )


def decided(
    books: Any, asked: Rollback, *choices: Choice, to: str | None = None
) -> tuple[Rollback, list[str]]:
    """Decide; give what, and in which order it was chosen and the lane taken."""
    order, left = list[str](), list(choices)

    def choose(leaving: Any, to: str | None) -> Choice:
        order.append(f"choose for {leaving.run_id}")
        return left.pop(0)

    found = by_hand.decided(books, asked, to, take=lambda: order.append("take"), choose=choose)
    return found, order


def returned(books: Any, asked: Rollback) -> tuple[Restored, list[tuple[str, str, str]]]:
    applied = list[tuple[str, str, str]]()

    def apply(left: Any, to: Any, reason: str) -> None:
        books.rolled_back(left.run_id, to.run_id, reason)
        applied.append((left.run_id, to.run_id, reason))

    return by_hand.returned(books, asked, apply=apply), applied


def test_it_chooses_again_once_it_has_the_lane(books: Any) -> None:
    found, order = decided(books, ASKED, GOOD, GOOD)
    assert (found.from_run_id, found.to_run_id) == ("svc.b", "svc.a")
    assert order == ["choose for svc.b", "take", "choose for svc.b"]


def test_what_cannot_be_waits_for_no_lane(books: Any) -> None:
    with pytest.raises(PolicyFailed, match="cannot be rolled back"):
        decided(books, ASKED, Choice(None))
    books.deployed.clear()
    with pytest.raises(PolicyFailed, match="nothing of svc is deployed in staging"):
        decided(books, ASKED)


def test_a_try_after_a_kill_chooses_nothing_anew(books: Any) -> None:
    found, order = decided(books, CHOSEN)
    assert found == CHOSEN
    assert order == ["take"]


def test_what_is_asked_for_and_deployed_already_needs_no_lane_and_changes_nothing(books: Any) -> None:
    found, order = decided(books, ASKED, to="b" * 40)
    again, none = decided(books, found)  # cleared
    assert order == none == []
    done, applied = returned(books, again)
    assert (done.left, done.to, applied, books.told) == ("svc.b", "svc.b", [], [])


def test_both_records_say_what_was_done_by_whom_and_why(books: Any) -> None:
    done, applied = returned(books, CHOSEN)
    assert applied == [("svc.b", "svc.a", WHY)]
    assert done.show() == {
        "from": "svc.b",
        "to": "svc.a",
        "commit": "a" * 40,
        "digest": "sha256:svc.a",
        "reason": WHY,
    }
    assert books.told == [
        ("let_go", "a" * 40),
        ("rolled_back", "svc.b", "svc.a", WHY),
        ("finish", "svc.b", Status.ROLLED_BACK),
    ]


def test_going_forward_again_makes_what_was_rolled_back_good_again(books: Any) -> None:
    books.change("svc.a", status=Status.ROLLED_BACK, rolled_back_to="svc.b")
    returned(books, CHOSEN)
    assert ("finish", "svc.a", Status.PASSED) in books.told


def test_a_kill_after_any_record_ends_where_it_would_have(books: Any) -> None:
    whole, _ = returned(books, CHOSEN)
    books.told.clear()
    again, applied = returned(books, CHOSEN)  # all is recorded, and the task is run once more
    assert again == whole
    assert applied == [("svc.b", "svc.a", WHY)]


@pytest.mark.parametrize("has_begun", [False, True])
def test_what_another_has_deployed_since_is_not_undone(books: Any, has_begun: bool) -> None:
    if has_begun:
        books.rolled_back("svc.b", "svc.a", WHY)
    books.add("svc.c", Status.PASSED, deployed=True)
    books.told.clear()
    with pytest.raises(
        PolicyFailed, match=r"svc\.b, which was to be left for svc\.a, is not what is deployed"
    ) as caught:
        returned(books, CHOSEN)
    assert caught.value.code == "rollback.overtaken"
    assert books.told == []
    assert books.deployed[-1] == "svc.c"


class Lane:
    """The ledger's lane, which another has."""

    def __init__(self, books: Any, holder: str | None) -> None:
        self.books, self.holder = books, holder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.books, name)

    def lane_acquire(self, _service: str, _environment: str, run_id: str, _ttl_s: float) -> Any:
        if self.holder in (None, run_id):
            self.holder = run_id
            return None
        return Holder(self.holder, datetime(2026, 1, 1, tzinfo=UTC))


def test_it_waits_without_a_worker_for_who_has_the_lane_and_then_goes_back(
    books: Any, service: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, ended = Lane(books, "svc.b"), list[str]()
    monkeypatch.setattr(by_hand.connections, "ledger", lambda: ledger)
    monkeypatch.setattr(by_hand.connections, "platform", lambda: SimpleNamespace(environment="staging"))
    monkeypatch.setattr(by_hand.lane, "runs", lambda *_: True)
    monkeypatch.setattr(by_hand.restoring, "chosen", lambda *_: GOOD)
    monkeypatch.setattr(
        by_hand.restoring, "restore", lambda _l, _s, left, to, why, wait: ended.append(to.run_id)
    )
    monkeypatch.setattr(waiting, "STAY_S", 0)
    for name, found in (("begin", lambda *_: ASKED), ("find", lambda *_: None), ("finish", lambda *_: None)):
        monkeypatch.setattr(by_hand.rollbacks, name, found)
    kept: dict[str, Any] = {}
    context: Any = {
        "params": {"service": service.service, "to": None, "reason": "slow"},
        "dag": SimpleNamespace(tags={"rollback"}),
        "dag_run": SimpleNamespace(run_id="rollback.1", triggering_user_name="anna"),
        "ti": SimpleNamespace(xcom_push=lambda **_: None, try_number=1),
        "task_state_store": SimpleNamespace(get=kept.get, set=kept.__setitem__),
    }
    task = by_hand.by_hand([service])
    with pytest.raises(TaskDeferred):
        task.execute(context)
    assert ended == []
    ledger.holder = None
    assert task.look_again(context, event=True)["to"] == "svc.a"
    assert (ended, ledger.holder) == (["svc.a"], "rollback.1")
    ledger.holder = "svc.b"
    kept[waiting.Wait.KEY]["since"]["lane"] -= by_hand.LANE_S + 1
    with pytest.raises(AirflowException, match=r"svc\.b has the lane of \S+ in staging for more than 600 s"):
        task.look_again(context)
