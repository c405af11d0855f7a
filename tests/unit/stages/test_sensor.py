"""A wait tells what it waits for, once per change; that decides which error it is when the time is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowRescheduleException

from slipway.adapters.cluster import Cause, Obstacle, Rollout
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.release import given
from slipway.stages import sensor
from slipway.stages.outcome import recorded
from slipway.stages.sensor import Soak, StageSensor, Waits, on_rollout

FULL = Obstacle(
    Cause.UNSCHEDULABLE, "Unschedulable: 0/3 nodes", "p", Cause.UNSCHEDULABLE.whose, is_final=False
)


CONTEXT: Any = {"ti": SimpleNamespace(get_first_reschedule_date=lambda _context: None)}


def asking(*answers: PokeReturnValue, **more: Any) -> StageSensor:
    left = list(answers)
    return StageSensor(
        task_id="x",
        python_callable=lambda: left.pop(0) if len(left) > 1 else left[0],
        timeout_s=60,
        look_s=0.001,
        changes=False,
        **more,
    )


def no(text: str, **more: Any) -> PokeReturnValue:
    return PokeReturnValue(False, Waits(text, code="health.unready", **more))


def test_what_is_waited_for_is_told_once_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    asked = asking(no("a"), no("a"), no("a"), no("b"))
    asked.stay_s = 0
    for _ in range(6):
        asked.poke({})  # type: ignore[typeddict-item]
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("waiting: ")]
    assert told == ["waiting: a", "waiting: b"]


def test_what_was_lacked_last_decides_whose_fault_it_is() -> None:
    asked = asking(no("a"), no("b", late=Transient))
    asked.stay_s = 0
    for _ in range(2):
        asked.poke({})  # type: ignore[typeddict-item]
    assert asked.waits is not None
    over = asked.waits.over("x", 60)
    assert isinstance(over, Transient)
    assert over.message == "x: not so after 60 s: b"
    assert isinstance(Waits("a", code="health.unready").over("x", 60), PolicyFailed)


def test_obstacle_of_a_rollout_says_whose_it_is() -> None:
    assert isinstance(on_rollout(Rollout(False, str(FULL), obstacle=FULL)).over("x", 1), Permanent)
    assert isinstance(on_rollout(Rollout(False, "1 of 2")).over("x", 1), PolicyFailed)


def test_what_is_given_at_the_end_is_kept_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def recorded(_context: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(sensor, "recorded", recorded)
    found = asking(no("a"), PokeReturnValue(True, given.RolledOut(pods=("p",)))).execute(CONTEXT)  # type: ignore[typeddict-item]
    assert found == {"pods": ["p"], "image_ids": [], "version": 1}


def test_long_wait_lets_go_of_worker_and_slot_and_leaves_no_outcome(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    ledger = SimpleNamespace(stage=lambda *what, **_: told.append(what))
    monkeypatch.setattr("slipway.stages.connections.ledger", lambda: ledger)
    monkeypatch.setattr(sensor, "STAY_FOR_PODS_S", 0.01)
    task: Any = SimpleNamespace(is_teardown=True)
    ti = SimpleNamespace(run_id="a", task_id="x", get_first_reschedule_date=lambda _context: None)
    context: Any = {"dag": SimpleNamespace(tags=["release"]), "task": task, "ti": ti}
    asked = asking(no("a"))
    assert asked.reschedule  # what the scheduler heeds
    with pytest.raises(AirflowRescheduleException):
        asked.execute(context)
    assert told == []
    with recorded(context):
        pass
    assert len(told) == 1


def test_who_was_away_looks_once() -> None:
    left = [no("a"), no("b"), no("c")]
    asked = asking(*left)
    asked.python_callable = lambda: left.pop(0)
    context: Any = {"task_reschedule_count": 1}
    assert not asked.poke(context)
    assert len(left) == 2


class Store(dict[str, Any]):
    """What Airflow keeps for a task."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        del self[key]


def test_soak_goes_on_over_the_time_in_which_the_task_is_away() -> None:
    store, start = Store(), datetime(2026, 1, 1, tzinfo=UTC)
    assert Soak(store, 1).well(start) == 0
    assert Soak(store, 1).well(start + timedelta(seconds=30)) == 30
    again = Soak(store, 1)
    again.broken()
    assert again.well(start + timedelta(seconds=40)) == 0
    assert Soak(store, 1).well(start + timedelta(seconds=45)) == 5
    # another try does not trust what it has not seen
    assert Soak(store, 2).well(start + timedelta(seconds=50)) == 0
