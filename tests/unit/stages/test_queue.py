"""Giving way: which tasks look, what they look at, and how a gate that runs is ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from slipway.errors import Superseded, Transient
from slipway.release import Contender, Mode
from slipway.stages import connections, queue, runs

START = datetime(2026, 1, 1, tzinfo=UTC)
OWN = Contender("svc.own", "a" * 40, START, running=True, accepted=True)
NEWER = Contender("svc.newer", "b" * 40, START + timedelta(seconds=5), begun=False)


class FakeLedger:
    """The ledger's queue, of which a test says what it gives."""

    def __init__(self, *others: Contender | Exception) -> None:
        self.others, self.asked = list(others), 0

    def queued(self, run_id: str) -> tuple[Contender, list[Contender]]:
        assert run_id == OWN.run_id
        self.asked += 1
        for one in self.others:
            if isinstance(one, Exception):
                self.others.remove(one)
                raise one
        return OWN, [one for one in self.others if isinstance(one, Contender)]


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> FakeLedger:
    found = FakeLedger(NEWER)
    monkeypatch.setattr(connections, "ledger", lambda: found)
    monkeypatch.setattr(runs.rollbacks, "find", lambda _ledger, _run: None)
    monkeypatch.setattr(queue, "LOOK_S", 0.01)
    return found


def context(
    *,
    tags: tuple[str, ...] = ("release", "svc"),
    after: tuple[str, ...] = ("accept",),
    before: tuple[str, ...] = ("gate", "lane", "report"),
    teardown: bool = False,
    states: dict[str, str | None] | None = None,
) -> dict[str, Any]:
    """Give what Airflow tells a task: of which DAG, what comes before and after it, and how other runs are."""

    def state(dag_id: str, run_id: str) -> str:
        assert dag_id == "release_svc"
        found = (states or {NEWER.run_id: "queued"}).get(run_id)
        if found is None:
            raise AirflowRuntimeError(
                ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404})
            )
        return found

    task = SimpleNamespace(
        is_teardown=teardown,
        upstream_task_ids=set(after),
        get_flat_relative_ids=lambda *, upstream: set(before),
    )
    return {
        "dag": SimpleNamespace(tags=set(tags)),
        "dag_run": SimpleNamespace(run_id=OWN.run_id),
        "task": task,
        "ti": SimpleNamespace(dag_id="release_svc", get_dagrun_state=state),
    }


def test_task_before_the_lane_ends_for_a_newer_release_and_names_it(ledger: FakeLedger) -> None:
    with pytest.raises(
        Superseded, match=r"svc\.newer: commit b{40}, asked for later, goes instead"
    ) as caught:
        queue.give_way(context())
    assert caught.value.by == NEWER.run_id
    assert caught.value.code == "release.superseded"


@pytest.mark.parametrize(
    "other",
    [
        {"tags": ("refresh",)},
        {"before": ("report",)},
        {"teardown": True},
        {"after": ()},
    ],
    ids=["not of a release", "behind the lane", "gives back", "opens the release"],
)
def test_other_tasks_do_not_even_look(ledger: FakeLedger, other: dict[str, Any]) -> None:
    queue.give_way(context(**other))
    assert ledger.asked == 0


def test_nobody_ends_for_a_run_that_airflow_does_not_have(ledger: FakeLedger) -> None:
    queue.give_way(context(states={"svc.other": "queued"}))
    queue.give_way(context(states={NEWER.run_id: "failed"}))


def test_the_next_newest_is_looked_at_when_the_newest_is_dead(ledger: FakeLedger) -> None:
    older = Contender("svc.older", "c" * 40, START + timedelta(seconds=1), running=True)
    ledger.others.append(older)
    with pytest.raises(Superseded) as caught:
        queue.give_way(context(states={NEWER.run_id: "success", older.run_id: "running"}))
    assert caught.value.by == older.run_id


def test_nobody_ends_where_every_commit_goes(ledger: FakeLedger) -> None:
    service: Any = SimpleNamespace(queue="every-commit")
    every = context(tags=("release", *queue.tags(service)))
    assert queue.mode_of(every) is Mode.EVERY_COMMIT
    queue.give_way(every)
    assert ledger.asked == 1


class Container:
    """Something that runs until it is stopped."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def run(self) -> None:
        """Run; what is stopped ends with an error, as an engine's does."""
        if self.stopped.wait(10):
            raise RuntimeError("the container is gone")


@pytest.fixture
def container() -> Iterator[Container]:
    made = Container()
    yield made
    made.stopped.set()


def test_gate_that_runs_is_stopped_and_ends_superseded(ledger: FakeLedger, container: Container) -> None:
    with pytest.raises(Superseded, match=r"svc\.newer"), queue.giving_way(context(), container.stopped.set):
        container.run()


def test_gate_that_has_just_ended_well_ends_superseded_all_the_same(ledger: FakeLedger) -> None:
    stopped = threading.Event()
    with pytest.raises(Superseded), queue.giving_way(context(), stopped.set):
        assert stopped.wait(10)


def test_gate_fails_as_it_does_if_nobody_is_newer(ledger: FakeLedger) -> None:
    ledger.others.clear()
    with pytest.raises(RuntimeError, match="on its own"), queue.giving_way(context(), lambda: None):
        raise RuntimeError("on its own")
    with queue.giving_way(context(), lambda: None):
        pass


def test_ledger_that_is_away_for_a_look_ends_nothing(ledger: FakeLedger, container: Container) -> None:
    ledger.others.insert(0, Transient("the ledger does not answer", code="ledger.unreachable"))
    with pytest.raises(Superseded), queue.giving_way(context(), container.stopped.set):
        container.run()
    assert ledger.asked > 1
