"""Taking the lane: whose turn it is, what is waited for, and that the wait holds no worker."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException, TaskDeferred

from slipway.errors import Superseded
from slipway.release import Contender
from slipway.stages import connections, lane, runs, waiting
from slipway.stages.waiting import LaneWait

START = datetime(2026, 1, 1, tzinfo=UTC)
OWN = Contender("svc.own", "a" * 40, START, running=True, accepted=True, ready=True)
OLDER = Contender("svc.older", "c" * 40, START - timedelta(seconds=5), running=True)
READY = Contender("svc.newer", "b" * 40, START + timedelta(seconds=5), running=True, ready=True)


class FakeLedger:
    """Queue and lane of one service."""

    def __init__(self) -> None:
        self.others: list[Contender] = []
        self.holder: str | None = None
        self.later: list[Contender] = []
        self.stages: list[tuple[str, str]] = []

    def queued(self, run_id: str) -> tuple[Contender, list[Contender]]:
        found = list(self.others)
        self.others += self.later
        return OWN, found

    def record(self, run_id: str) -> Any:
        return SimpleNamespace(commit="a" * 40, config_revision=None, digest=None, slipway=None)

    def held(self, *_: Any) -> None: ...

    def lane_acquire(self, service: str, environment: str, run_id: str, ttl_s: float) -> Any:
        if self.holder in (None, run_id):
            self.holder = run_id
            return None
        return SimpleNamespace(run_id=self.holder, expires_at=START)

    def lane_holder(self, service: str, environment: str) -> Any:
        return self.holder and SimpleNamespace(run_id=self.holder)

    def lane_release(self, service: str, environment: str, run_id: str) -> bool:
        if self.holder == run_id:
            self.holder = None
        return self.holder is None

    def stage(self, run_id: str, name: str, outcome: Any, *_: Any, **__: Any) -> None:
        self.stages.append((name, str(outcome)))


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    found = FakeLedger()
    monkeypatch.setattr(connections, "ledger", lambda: found)
    monkeypatch.setattr(connections, "platform", lambda: SimpleNamespace(environment="staging"))
    monkeypatch.setattr(runs.rollbacks, "find", lambda _ledger, _run: None)
    monkeypatch.setattr(waiting, "STAY_S", 0.0)
    return found


SERVICE: Any = SimpleNamespace(service="svc", dag_id="release_svc", queue="newest")


def context(ended: tuple[str, ...] = (), every: bool = False) -> Any:
    ti = SimpleNamespace(
        dag_id="release_svc",
        run_id=OWN.run_id,
        task_id="lane",
        get_dagrun_state=lambda _dag, run: "failed" if run in ended else "running",
        xcom_push=lambda **_: None,
        try_number=1,
    )
    kept: dict[str, Any] = {}
    return {
        "task_state_store": SimpleNamespace(get=kept.get, set=kept.__setitem__),
        "dag": SimpleNamespace(tags={"release", *(["queue:every-commit"] if every else [])}),
        "dag_run": SimpleNamespace(run_id=OWN.run_id),
        "task": SimpleNamespace(
            is_teardown=False,
            upstream_task_ids={"gate"},
            get_flat_relative_ids=lambda *, upstream: {"report"},
        ),
        "ti": ti,
    }


def operator() -> lane.LaneOperator:
    return lane.LaneOperator(task_id="lane", service=SERVICE)


def test_free_lane_is_taken_at_once(ledger: FakeLedger) -> None:
    operator().execute(context())
    assert ledger.holder == OWN.run_id
    assert ledger.stages == [("lane", "passed")]


def test_wait_is_left_to_the_triggerer_with_nothing_recorded(ledger: FakeLedger) -> None:
    ledger.holder = OLDER.run_id
    with pytest.raises(TaskDeferred) as caught:
        operator().execute(context())
    deferred = caught.value
    assert isinstance(deferred.trigger, LaneWait)
    assert deferred.trigger.serialize()[1] == {
        "service": "svc", "environment": "staging", "run_id": OWN.run_id, "mode": "newest"
    }  # fmt: skip
    assert (deferred.method_name, deferred.timeout) == ("look_again", LaneWait.bound)
    assert ledger.stages == []


def test_wait_goes_on_where_it_began_and_ends(ledger: FakeLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.holder = OLDER.run_id
    told = context()
    with pytest.raises(TaskDeferred):
        operator().execute(told)
    later = time.time() + lane.WAIT_S
    monkeypatch.setattr(waiting.time, "time", lambda: later - 9)
    with pytest.raises(TaskDeferred):
        operator().look_again(told, event=True)
    monkeypatch.setattr(waiting.time, "time", lambda: later + 9)
    with pytest.raises(AirflowException, match="the lane was not free after"):
        operator().look_again(told, event=True)
    assert ledger.stages == [("lane", "errored")]


def test_wait_that_failed_in_the_triggerer_is_looked_at_again(ledger: FakeLedger) -> None:
    operator().resume_execution("__fail__", {"error": "Trigger timeout"}, context())
    assert ledger.holder == OWN.run_id


def test_lane_of_a_run_that_has_ended_is_taken_over(ledger: FakeLedger) -> None:
    ledger.holder = OLDER.run_id
    assert "has ended" in str(lane.take(context(ended=(OLDER.run_id,)), SERVICE))
    assert lane.take(context(ended=(OLDER.run_id,)), SERVICE) is None


def test_newer_one_that_is_ready_goes_instead(ledger: FakeLedger) -> None:
    ledger.others = [READY]
    with pytest.raises(AirflowSkipException, match="is ready"):
        operator().execute(context())
    assert (ledger.stages, ledger.holder) == ([("lane", "superseded")], None)


def test_newer_one_whose_run_has_ended_stands_in_nobodys_way(ledger: FakeLedger) -> None:
    ledger.others = [READY]
    assert lane.take(context(ended=(READY.run_id,)), SERVICE) is None


def test_gates_of_a_newer_one_are_not_waited_for(ledger: FakeLedger) -> None:
    ledger.others = [replace(READY, ready=False)]
    assert lane.take(context(), SERVICE) is None


def test_lane_is_given_back_if_a_newer_one_became_ready_meanwhile(ledger: FakeLedger) -> None:
    ledger.later = [READY]
    with pytest.raises(Superseded):
        lane.take(context(), SERVICE)
    assert ledger.holder is None


def test_where_every_commit_goes_the_older_one_goes_first(ledger: FakeLedger) -> None:
    ledger.others = [OLDER, READY]
    assert "svc.older is older and goes first" in str(lane.take(context(every=True), SERVICE))
    assert ledger.holder is None
    assert lane.take(context(every=True, ended=(OLDER.run_id,)), SERVICE) is None


def test_triggerer_wakes_the_task_only_if_there_is_something_to_do(ledger: FakeLedger) -> None:
    fake: Any = ledger
    wait = LaneWait("svc", "staging", OWN.run_id, "newest")
    assert wait.changed(fake)
    ledger.holder = OLDER.run_id
    assert not wait.changed(fake)
    ledger.others = [READY]
    assert wait.changed(fake)
    every = LaneWait("svc", "staging", OWN.run_id, "every-commit")
    assert not every.changed(fake)
    ledger.holder, ledger.others = None, [OLDER]
    assert not every.changed(fake)
    assert wait.changed(fake)
