"""Operators run a stage's functions in the real world: recorded, with the lane, and until what is watched holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import DownstreamTasksSkipped
from hypothesis import HealthCheck, settings
from hypothesis import given as for_any
from hypothesis import strategies as st

from slipway.catalog import Service
from slipway.release import given
from slipway.stages import operators
from slipway.stages.flow import flow
from slipway.stages.operators import BranchOperator, SiftOperator, StepOperator, run_of, watching
from slipway.stages.sensor import Waits
from slipway.stages.stage import Branch, Run, Sift, Stage, Step, Watch, Well

CONTEXT: Any = {
    "ti": None,
    "dag_run": SimpleNamespace(run_id="web.1"),
    "params": {"service": "web"},
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Gives in which order a task is recorded and holds the lane."""
    said: list[str] = []

    @contextmanager
    def recorded(_context: Any) -> Iterator[None]:
        said.append("recorded")
        yield

    monkeypatch.setattr(operators, "recorded", recorded)
    monkeypatch.setattr(operators.lanes, "held", lambda _context: said.append("lane held"))
    return said


def test_step_is_recorded_has_the_lane_and_gives_what_is_kept(service: Service, told: list[str]) -> None:
    def act(run: Run, _decided: None) -> given.Applied:
        told.append(f"acts in {run.run_id}")
        return given.Applied(changes=("x",))

    step: Step[None, None] = Step(id="x", title="X", holds_lane=True, act=act)
    operator = StepOperator(step=step, service=service, flow=flow(service, (step,)), task_id="x")
    assert operator.execute(CONTEXT) == {"changes": ["x"], "version": 1}
    assert told == ["recorded", "lane held", "acts in web.1"]


def test_step_that_changes_nothing_takes_no_lane(service: Service, told: list[str]) -> None:
    step: Step[None, None] = Step(id="x", title="X")
    StepOperator(step=step, service=service, flow=flow(service, (step,)), task_id="x").execute(CONTEXT)
    assert told == ["recorded"]


@pytest.mark.parametrize("named", [frozenset({"b", "a"}), frozenset()])
def test_sift_skips_what_it_names_wherever_that_is(
    service: Service, told: list[str], named: frozenset[str]
) -> None:
    sift: Sift[Any, Any] = Sift(id="sift", title="", act=lambda _run, _seen: named)
    operator = SiftOperator(step=sift, service=service, flow=flow(service, (sift,)), task_id="sift")
    with pytest.raises(DownstreamTasksSkipped) if named else nullcontext() as e:
        operator.execute(CONTEXT)
    assert not named or e.value.tasks == ["a", "b"]
    assert told == ["recorded"]


@pytest.mark.parametrize(("answer", "goes_on"), [(True, ["always", "maybe"]), (False, ["always"])])
def test_branch_leaves_out_only_what_it_decides_on(
    service: Service, told: list[str], answer: bool, goes_on: list[str]
) -> None:
    branch: Branch[bool, bool] = Branch(id="branch", title="", read=lambda _run: answer)
    maybe, always_ = (
        Stage(id="maybe", title="", only_if=branch),
        Stage(id="always", title="", after=(branch,)),
    )
    order = flow(service, (branch, maybe, always_))
    with DAG("x", schedule=None):
        operator = BranchOperator(step=branch, service=service, flow=order, task_id="branch")
        for one in (maybe, always_):
            operator >> StepOperator(step=branch, service=service, flow=order, task_id=one.id)
    assert operator.choose_branch(CONTEXT) == goes_on


def test_run_is_in_the_real_world_and_knows_its_stages(service: Service) -> None:
    step: Step[None, None] = Step(id="x", title="X")
    order = flow(service, (step,))
    run = run_of(CONTEXT, step, service, order)
    assert isinstance(run.world, operators.connections.Outside)
    assert (run.flow, run.run_id, run.params["service"]) == (order, "web.1", "web")


class Store(dict[str, Any]):
    """What Airflow keeps for a task, whatever process it runs in."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value

    def delete(self, key: str) -> None:
        del self[key]


class Seen:
    """What one look after the other finds: well, or not; the last one for ever, a second each."""

    def __init__(self, *looks: bool) -> None:
        self.looks, self.now = list(looks), 0.0

    def look(self, _run: Run) -> bool:
        self.now += 1
        return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


WELL, ODD = Well(given.Healthy(pods=("p",)), "well"), Waits("not yet", code="health.unready")
SOAK_S = 5


def well_at(monkeypatch: pytest.MonkeyPatch, run: Run, service: Service, *looks: bool) -> float | None:
    """Give when it was called well; None if it was not in a minute."""
    seen = Seen(*looks)
    watch = Watch(
        id="x",
        title="X",
        look=seen.look,
        judge=lambda _service, well: WELL if well else ODD,
        soak_s=lambda _service: SOAK_S,
    )
    clock, store = SimpleNamespace(now=lambda: datetime.fromtimestamp(seen.now, UTC)), Store()
    monkeypatch.setattr(operators, "get_current_context", lambda: {**CONTEXT, "task_state_store": store})
    ti = SimpleNamespace(try_number=1)
    monkeypatch.setattr(operators, "run_of", lambda *_: replace(run, world=clock, ti=ti))
    ask = watching(watch, service, run.flow)
    while seen.now < 60:
        if seen.now % 7 == 3:  # the task is started again
            ask = watching(watch, service, run.flow)
        if (found := ask()).is_done:
            assert found.xcom_value is WELL.gives
            return seen.now
    return None


def test_one_odd_look_starts_the_soak_anew(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., Run], service: Service
) -> None:
    at = run(Stage(id="x", title="X"))
    assert well_at(monkeypatch, at, service, True) == SOAK_S + 1
    assert well_at(monkeypatch, at, service, False, True) == SOAK_S + 2
    assert well_at(monkeypatch, at, service, True, True, False, True) == SOAK_S + 4
    assert well_at(monkeypatch, at, service, False) is None


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@for_any(looks=st.lists(st.booleans(), max_size=12))
def test_well_is_what_held_without_a_break(
    monkeypatch: pytest.MonkeyPatch, run: Callable[..., Run], service: Service, looks: list[bool]
) -> None:
    seen = [*looks, *[True] * 20]
    first = next(end for end in range(SOAK_S + 1, len(seen) + 1) if all(seen[end - SOAK_S - 1 : end]))
    assert well_at(monkeypatch, run(Stage(id="x", title="X")), service, *looks, True) == first
