"""Why the reconciler starts nothing: somebody means that there should be nothing, or there is something already."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slipway.ledger import wishes
from slipway.release import Answer, Status
from slipway.stages import connections, lane
from slipway.stages.reconcile import why_not

HEAD = "c" * 40
SERVICE: Any = SimpleNamespace(service="svc", dag_id="release_svc")


class TaskInstance:
    """What is asked of Airflow."""

    def __init__(self, *, started: int = 0, is_paused: bool = False) -> None:
        self.started, self.is_paused = started, is_paused

    def get_dag(self, dag_id: str) -> Any:
        return SimpleNamespace(is_paused=self.is_paused)

    def get_dr_count(self, **_: Any) -> int:
        return self.started


@pytest.fixture
def why(books: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give what asks, with what the ledger and Airflow say."""

    def why(status: Status | None, *, goes_on: bool = True, known: bool = True, **airflow: Any) -> str | None:
        answer = Answer("svc.c", is_new=status is None, is_repeat=False)
        if status:
            books.add("svc.c", status)
        monkeypatch.setattr(wishes, "look", lambda *_: (answer, status) if known else None)
        monkeypatch.setattr(lane, "runs", lambda *_: goes_on)
        monkeypatch.setattr(connections, "ledger", lambda: books)
        monkeypatch.setattr(connections, "platform", lambda: SimpleNamespace(environment="staging"))
        return why_not({"ti": TaskInstance(**airflow)}, SERVICE, HEAD)  # type: ignore[arg-type]

    return why


def test_a_head_that_nobody_has_asked_for_is_released(why: Any) -> None:
    assert why(None) is None


def test_the_first_release_is_somebodys_to_say(why: Any) -> None:
    assert "was never released" in why(None, known=False)


@pytest.mark.parametrize("status", [Status.PASSED, Status.FAILED, Status.SUPERSEDED])
def test_what_has_ended_is_left_alone_however_it_did(why: Any, status: Status) -> None:
    assert why(status) == f"svc.c is {status}"


def test_what_goes_on_is_running(why: Any) -> None:
    assert why(Status.RUNNING) == "svc.c is running"


def test_what_was_killed_before_it_could_say_how_it_ended_is_abandoned(why: Any) -> None:
    assert why(Status.RUNNING, goes_on=False) == (
        "svc.c is abandoned: its run has ended, and nothing says how; clear its task `report`"
    )


def test_what_is_held_paused_or_started_already_is_not_started(why: Any, books: Any) -> None:
    assert "was started already" in why(None, started=1)
    assert "is paused" in why(None, is_paused=True)
    books.reasons[HEAD] = "not before Monday"
    assert "since 2026-01-01 00:00 UTC: not before Monday" in why(None)
