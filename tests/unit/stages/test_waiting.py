"""The wait in the triggerer: it ends when there is something to do, and after a while in any case."""

from __future__ import annotations

import asyncio
import importlib
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from slipway.errors import Transient
from slipway.stages import waiting
from slipway.stages.waiting import LaneFree, LaneWait, Wait, WaitingOperator


def events(wait: LaneFree) -> int:
    async def collect() -> int:
        return len([event async for event in wait.run()])

    return asyncio.run(collect())


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> LaneWait:
    monkeypatch.setattr(waiting, "LOOK_S", 0.001)
    monkeypatch.setattr(waiting, "ANYWAY_S", 0.05)
    return LaneWait("svc", "staging", "svc.a", "newest")


@pytest.mark.parametrize("wait", [LaneWait("svc", "staging", "svc.a", "newest"), LaneFree("svc", "staging")])
def test_it_is_made_again_of_what_it_says_of_itself(wait: LaneFree) -> None:
    path, arguments = wait.serialize()
    module, _, name = path.rpartition(".")
    again = getattr(importlib.import_module(module), name)(**arguments)
    assert again.serialize() == wait.serialize()


def test_it_looks_until_there_is_something_to_do(wait: LaneWait, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [False, Transient("the ledger does not answer", code="ledger.unreachable"), True]

    def changed() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(waiting, "ANYWAY_S", 60)
    monkeypatch.setattr(wait, "changed", changed)
    assert (events(wait), answers) == (1, [])


def test_it_ends_after_a_while_in_any_case(wait: LaneWait, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wait, "changed", lambda: False)
    assert events(wait) == 1


def test_lane_is_free_when_nobody_has_it() -> None:
    holders: list[Any] = [SimpleNamespace(run_id="svc.b"), None]
    ledger: Any = SimpleNamespace(lane_holder=lambda _service, _environment: holders.pop(0))
    wait = LaneFree("svc", "staging")
    assert (wait.changed(ledger), wait.changed(ledger)) == (False, True)


class Until(WaitingOperator):
    """Waits until it has looked often enough."""

    looks = 0

    def work(self, context: Any, wait: Wait) -> float:
        assert wait.seconds("lane") >= 0  # from here on
        self.looks -= 1
        while self.looks > 0:
            wait.for_lane(LaneFree("svc", "staging"), "three looks")
            self.looks -= 1
        return wait.seconds("lane")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    clock: Any = SimpleNamespace(now=1000.0)
    clock.time = clock.monotonic = lambda: clock.now
    clock.sleep = lambda seconds: setattr(clock, "now", clock.now + seconds)
    monkeypatch.setattr(waiting, "time", clock)
    return clock


@pytest.fixture
def context() -> dict[str, Any]:
    kept: dict[str, Any] = {}
    store = SimpleNamespace(get=kept.get, set=kept.__setitem__)
    return {"task_state_store": store, "ti": SimpleNamespace(try_number=1)}


def test_a_task_stays_for_a_short_wait(clock: Any, context: Any) -> None:
    task = Until(task_id="until")
    task.looks = 3
    assert task.execute(context) == 2


def test_a_longer_wait_goes_on_without_it_and_begins_nothing_anew(clock: Any, context: Any) -> None:
    task = Until(task_id="until")
    task.looks = 9
    with pytest.raises(TaskDeferred):
        task.execute(context)
    assert clock.now == 1000 + waiting.STAY_S
    clock.now += 60
    with pytest.raises(TaskDeferred):
        task.look_again(context, event=True)
    task.looks = 1
    assert task.resume_execution("__fail__", {"error": "Trigger timeout"}, context) == 63
    context["ti"].try_number = 2
    task.looks = 1
    assert task.execute(context) == 0


def stay(wait: Wait) -> None:
    for _ in range(1000):
        wait.for_pods("1 of 2 pods")


def test_pods_are_stayed_for_longer_and_looked_at_again_later(clock: Any, context: Any) -> None:
    task = Until(task_id="until")
    wait = Wait(task, context)
    assert wait.seconds("the rollout") == 0
    with pytest.raises(TaskDeferred):
        stay(wait)
    assert waiting.STAY_FOR_PODS_S <= clock.now - 1000 < waiting.STAY_FOR_PODS_S + 1
    again = Wait(task, context, was_away=True)
    assert again.seconds("the rollout") >= waiting.STAY_FOR_PODS_S
    with pytest.raises(TaskDeferred):
        again.for_pods("1 of 2 pods")
