"""A stage is run as it says, and is given only what it says that it needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from slipway.catalog import Service
from slipway.release import given
from slipway.stages.stage import CLUSTER, Group, Run, Stage, Step

GATES = Group(id="g", title="Gates", gates=True)


def test_step_acts_on_what_was_decided_on_what_was_read(run: Callable[..., Run]) -> None:
    def act(at: Run, decided: int) -> str:
        return f"{at.run_id}: {decided}"

    whole = Step(
        id="x", title="X", read=lambda _: 3, decide=lambda service, seen: seen * len(service.service), act=act
    )
    assert whole.run(run(whole)) == "ai-generation.aaaaaaaaaaaa: 39"
    assert (one := Step(id="x", title="X", read=lambda _: 3)).run(run(one)) == 3
    assert (one := Step(id="x", title="X", act=lambda _run, decided: decided)).run(run(one)) is None


def test_stage_gets_only_what_it_says_that_it_needs(run: Callable[..., Run], pushed: given.Pushed) -> None:
    names = Stage(id="x", title="X", needs=(given.Pushed,), asks=(given.Checked,))
    assert run(names, pushed).take(given.Pushed) == pushed
    assert run(names, pushed).find(given.Checked) is None
    silent = run(Stage(id="x", title="X"), pushed)
    with pytest.raises(AssertionError, match="x does not say that it needs Pushed"):
        silent.take(given.Pushed)
    with pytest.raises(AssertionError, match="x does not say that it asks for Checked"):
        silent.find(given.Checked)


def test_gates_are_what_is_in_their_group_but_for_what_stands_beside_them() -> None:
    made = Stage(id="made", title="", group=GATES, setup=True)
    removed = Stage(id="removed", title="", group=GATES, undoes=(made,))
    gate = Stage(id="gate", title="", group=GATES)
    assert [one.gates for one in (made, removed, gate)] == [False, False, True]
    assert [one.teardown for one in (made, removed, gate)] == [False, True, False]
    assert not Stage(id="x", title="").gates
    assert gate.task_id == "g.gate"


def test_operator_is_told_what_is_said_and_has_the_defaults_of_the_dag_else(service: Service) -> None:
    plain: Step[Any, Any] = Step(id="x", title="X")
    assert plain.task(service) == {"task_id": "x", "task_display_name": "X", "pool": "default_pool"}
    full: Step[Any, Any] = Step(
        id="x",
        title="X",
        pool=CLUSTER,
        retries=6,
        trigger_rule="all_done",
        timeout_s=lambda service: 30,
        options=lambda service: {"inlets": []},
    )
    told = full.task(service)
    assert told["execution_timeout"].total_seconds() == 90  # its own bound speaks first
    assert (told["retries"], told["trigger_rule"], told["pool"], told["inlets"]) == (
        6,
        "all_done",
        CLUSTER,
        [],
    )
