"""Stages are put in order by what they say; what makes no sense is refused when the DAG is parsed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given as for_any
from hypothesis import strategies as st

from slipway.catalog import Service
from slipway.release import given
from slipway.stages.flow import Flow, flow
from slipway.stages.stage import Branch, Group, Stage


def stage(id_: str, **said: Any) -> Stage:
    return Stage(id=id_, title=id_, **said)


def edges(found: Flow) -> set[str]:
    return {f"{one.task_id} > {other.task_id}" for one, other in found.edges}


A = stage("a")
B = stage("b", after=(A,), wanted=lambda service: service.deploy.migrations is not None)
C = stage("c", after=(B,))


def test_stage_says_what_comes_before_it_and_what_after(service: Service) -> None:
    between = stage("between", after=(A,), before=(B,))
    assert edges(flow(service, (A, B, C, between))) == {"a > b", "b > c", "a > between", "between > b"}


def test_what_follows_a_stage_that_a_service_lacks_follows_what_comes_before_that(
    changed: Callable[..., Service],
) -> None:
    assert edges(flow(changed("deploy", migrations=None), (A, B, C))) == {"a > c"}


def test_what_comes_before_may_depend_on_the_service(
    service: Service, changed: Callable[..., Service]
) -> None:
    late = stage("late", after=lambda one: (C,) if one.deploy.order == "after" else (A,))
    assert "a > late" in edges(flow(service, (A, B, C, late)))
    assert "c > late" in edges(flow(changed("deploy", order="after"), (A, B, C, late)))


def test_group_stands_for_all_of_its_stages(service: Service) -> None:
    group = Group(id="g", title="G", after=(A,), before=(C,), gates=True)
    inner, other = stage("inner", group=group), stage("other", group=group)
    found = flow(service, (A, B, C, inner, other))
    assert {"a > g", "g > c"} <= edges(found)
    assert found.earlier(C) == {A, B, inner, other}
    assert found.gating == ("g.inner", "g.other")


def test_what_runs_only_if_a_branch_says_so_comes_after_it(service: Service) -> None:
    branch: Branch[Any, Any] = Branch(id="branch", title="")
    maybe, always = stage("maybe", only_if=branch), stage("always", after=(branch,))
    found = flow(service, (branch, maybe, always))
    assert edges(found) == {"branch > maybe", "branch > always"}
    assert found.optional(branch) == {"maybe"}
    with pytest.raises(ValueError, match="maybe names branch, which is not declared"):
        flow(service, (maybe,))


def test_teardown_comes_after_its_setup_and_decides_last(service: Service) -> None:
    left = stage("left", undoes=(A,))
    last = stage("last", ends=True, follows=lambda one, _service: isinstance(one, Stage) and one.teardown)
    found = flow(service, (last, left, A, B, C))
    assert {"a > left", "left > last"} <= edges(found)
    assert found.deciding == ("a", "b", "c", "last", "left")


def test_what_rolls_back_is_told_by_the_stages(service: Service) -> None:
    bad = stage("bad", rolls_back=lambda one: one.deploy.order != "after")
    undone = stage("undone", follows=lambda one, at: isinstance(one, Stage) and one.rolls_back(at))
    found = flow(service, (A, bad, undone))
    assert found.rolling_back == ("bad",)
    assert edges(found) == {"bad > undone"}


def test_what_a_stage_takes_must_be_given_before_it(service: Service) -> None:
    gives = stage("accept", gives=given.Accepted)
    takes = stage("takes", after=(gives,), needs=(given.Accepted,))
    assert flow(service, (gives, takes)).earlier(takes) == {gives}
    with pytest.raises(ValueError, match="takes takes Accepted, which nothing before it gives"):
        flow(service, (gives, stage("takes", needs=(given.Accepted,))))
    with pytest.raises(ValueError, match="asks takes Accepted, which nothing before it gives"):
        flow(
            service, (gives, stage("asks", asks=(given.Accepted,)))
        )  # it is there, and may run at the same time
    absent = stage("accept", gives=given.Accepted, wanted=lambda _service: False)
    assert flow(service, (absent, stage("asks", asks=(given.Accepted,)))).stages
    with pytest.raises(ValueError, match="Accepted says that accept gives it, not other"):
        flow(service, (stage("other", gives=given.Accepted),))


def test_what_makes_no_sense_is_refused(service: Service) -> None:
    with pytest.raises(ValueError, match="declared twice: a"):
        flow(service, (A, A))
    with pytest.raises(ValueError, match="c names b, which is not declared"):
        flow(service, (A, C))
    one = stage("one", before=(A,))
    with pytest.raises(ValueError, match="stages wait for each other"):
        flow(service, (A, one, stage("two", after=(A,), before=(one,))))


@for_any(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20), st.sets(st.integers(0, 9)))
def test_order_holds_whatever_a_service_lacks(pairs: list[tuple[int, int]], lacks: set[int]) -> None:
    made: list[Stage] = []
    for number in range(10):
        before = tuple(made[low] for low, high in pairs if high == number and low < high)
        made.append(stage(str(number), after=before, wanted=lambda _service, n=number: n not in lacks))
    found, whole = flow(None, made), flow(None, [stage_with(one) for one in made])  # type: ignore[arg-type]
    for one in found.stages:
        kept = {other.task_id for other in found.earlier(one)}
        all_ = {
            other.task_id for at in whole.stages if at.task_id == one.task_id for other in whole.earlier(at)
        }
        assert kept == all_ - {str(number) for number in lacks}


_COPIES: dict[Stage, Stage] = {}


def stage_with(one: Stage) -> Stage:
    """Give the same stage, which every service has."""
    if one not in _COPIES:
        assert isinstance(one.after, tuple)
        _COPIES[one] = stage(one.id, after=tuple(stage_with(at) for at in one.after if isinstance(at, Stage)))
    return _COPIES[one]


def test_setup_is_unneeded_if_all_that_it_is_for_is_settled(service: Service) -> None:
    group = Group(id="g", title="G", gates=True)
    one, other, alone = (Stage(id=name, title="", group=group) for name in ("one", "other", "alone"))
    setup = Stage(id="setup", title="", group=group, setup=True, before=(one, other))
    removed = Stage(id="removed", title="", group=group, after=(one, other), undoes=(setup,))
    found = flow(service, (one, other, alone, setup, removed))
    assert found.unneeded({"g.one", "g.alone"}) == {"g.one", "g.alone"}
    assert found.unneeded({"g.one", "g.other"}) == {"g.one", "g.other", "g.setup", "g.removed"}
    assert found.unneeded(()) == frozenset()
