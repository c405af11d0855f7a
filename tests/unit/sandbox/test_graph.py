"""Steps run side by side as far as they may."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway_sandbox.graph import order, run_graph
from slipway_sandbox.parts import PARTS


@given(st.dictionaries(st.integers(0, 12).map(str), st.lists(st.integers(0, 12).map(str))))
def test_order_puts_each_after_what_it_needs(graph: dict[str, list[str]]) -> None:
    depends = {
        name: [need for need in needs if need in graph and int(need) < int(name)]
        for name, needs in graph.items()
    }
    found = order(depends)
    assert sorted(found) == sorted(depends)
    assert all(found.index(need) < found.index(name) for name, needs in depends.items() for need in needs)


def test_circle_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="a, b"):
        order({"a": ["b"], "b": ["a"], "c": []})


def test_independent_steps_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=5)
    steps = run_graph({"a": both.wait, "b": both.wait}, {})  # type: ignore[dict-item]
    assert {step.outcome for step in steps} == {"done"}


def test_what_needs_a_failed_step_is_not_tried_and_the_rest_is() -> None:
    def fail() -> None:
        raise RuntimeError("no")

    done: list[str] = []
    work = {
        "a": fail,
        "b": lambda: done.append("b"),
        "c": lambda: done.append("c"),
        "d": lambda: done.append("d"),
    }
    steps = {step.name: step for step in run_graph(work, {"b": ["a"], "c": ["b"]})}
    assert done == ["d"]
    assert {name: step.outcome for name, step in steps.items()} == {
        "a": "failed", "b": "not tried", "c": "not tried", "d": "done",
    }  # fmt: skip
    assert str(steps["a"].error) == "no"


def test_every_part_needs_only_parts_that_exist() -> None:
    names = {part.name for part in PARTS}
    assert all(set(part.depends) <= names for part in PARTS)
    assert order({part.name: part.depends for part in PARTS})[0] == "network"
