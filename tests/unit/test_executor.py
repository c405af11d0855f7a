"""How long the scheduler waits between two looks."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from multiprocessing import SimpleQueue
from typing import Any

import pytest
from airflow.executors.local_executor import LocalExecutor

from slipway import executor

LONG_S = 30.0


@pytest.fixture
def waking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Gives an executor without workers, and whether any run is to do, to be changed."""
    made = executor.WakingExecutor(parallelism=1)
    made.result_queue = SimpleQueue()
    monkeypatch.setattr(LocalExecutor, "heartbeat", lambda _self: None)
    monkeypatch.setattr(LocalExecutor, "_check_workers", lambda _self: None)
    monkeypatch.setattr(executor, "runs_to_do", lambda: made.to_do)
    monkeypatch.setattr(executor, "QUIET_S", LONG_S)
    monkeypatch.setattr(executor, "LOOK_S", 0.01)
    made.to_do = False  # type: ignore[attr-defined]
    yield made
    made.result_queue.close()


def took(waking: Any) -> float:
    began = time.monotonic()
    waking.heartbeat()
    return time.monotonic() - began


def test_nothing_to_do_is_waited_for_until_the_time_is_over(
    waking: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor, "QUIET_S", 0.1)
    assert took(waking) >= 0.1


def test_a_run_that_is_asked_for_ends_the_wait(waking: Any) -> None:
    threading.Timer(0.05, lambda: setattr(waking, "to_do", True)).start()
    assert took(waking) < LONG_S / 2


def test_a_task_that_ends_is_told_in_the_same_loop(waking: Any) -> None:
    waking.running.add("key")
    threading.Timer(0.05, lambda: waking.result_queue.put(("key", "success", None))).start()
    assert took(waking) < LONG_S / 2
    assert waking.get_event_buffer() == {"key": ("success", None)}


def test_what_the_scheduler_is_to_hear_of_is_not_waited_with(waking: Any) -> None:
    waking.event_buffer["key"] = ("failed", None)
    assert took(waking) < LONG_S / 2


def test_database_that_does_not_answer_is_for_the_scheduler_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import create_engine

    away = create_engine("postgresql+psycopg2://nobody@127.0.0.1:1/none", connect_args={"connect_timeout": 1})
    monkeypatch.setattr("airflow.settings.get_engine", lambda: away)
    assert executor.runs_to_do() is True
