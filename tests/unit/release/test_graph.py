"""How long a run may take, and who goes first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.release.graph import longest_s, weights

RELEASE = {
    "accept": set[str](),
    "checkout": {"accept"},
    "database": {"checkout"},
    "unit": {"checkout"},
    "integration": {"checkout", "database"},
    "gate": {"unit", "integration"},
    "lane": {"gate"},
    "report": {"lane", "accept"},
}
GATES = ["database", "unit", "integration"]


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, set[str]]:
    """Give some graph without circles."""
    size = draw(st.integers(1, 9))
    return {
        f"t{one}": {f"t{other}" for other in draw(st.sets(st.integers(0, one - 1)))} if one else set()
        for one in range(size)
    }


def test_the_longest_way_counts() -> None:
    takes = dict.fromkeys(RELEASE, 1.0) | {"database": 10.0}
    assert longest_s(RELEASE, takes) == 16
    within = {"integration": RELEASE["integration"], "gate": RELEASE["gate"]}
    assert longest_s(within, takes) == 2
    assert longest_s({}, {}) == 0


def test_what_is_about_to_finish_goes_before_what_begins_and_gates_go_last() -> None:
    found = weights(RELEASE, GATES)
    order = ["integration", "unit", "database", "accept", "checkout", "gate", "lane", "report"]
    assert sorted(found, key=lambda one: found[one]) == order


@settings(deadline=None, max_examples=50)
@given(graphs())
def test_each_task_outweighs_all_that_come_before_it(before: dict[str, set[str]]) -> None:
    found = weights(before)
    for task, known in before.items():
        assert all(found[task] > found[one] for one in known)


@settings(deadline=None, max_examples=50)
@given(graphs(), st.lists(st.floats(0, 1000), min_size=9, max_size=9))
def test_no_way_takes_longer_than_the_longest(before: dict[str, set[str]], seconds: list[float]) -> None:
    takes = dict(zip(before, seconds, strict=False))
    whole = longest_s(before, takes)
    assert max(takes.values()) <= whole <= sum(takes.values()) + 1e-6
    for task, known in before.items():
        for one in known:
            assert whole >= takes[task] + takes[one]


# --- a model of slots that are too few, shared by weight, as Airflow does: the heaviest first, then the run that is older ---
WEIGHT = weights(RELEASE, GATES)


@dataclass(eq=False)
class Run:
    """A release of one service, from when it was asked for."""

    service: int
    asked: int
    ended: set[str] = field(default_factory=set)
    at_work: dict[str, int] = field(default_factory=dict)
    finished: int = 0

    def waiting(self) -> list[str]:
        """Give the tasks that only want a slot."""
        return [
            task
            for task, before in RELEASE.items()
            if task not in self.ended and task not in self.at_work and before <= self.ended
        ]


def shared(runs: list[Run], slots: int, takes: dict[str, int], until: Run | None = None) -> None:
    """Let runs go, of one service four at once, until all have ended, or that one."""
    coming, going, now = sorted(runs, key=lambda one: one.asked), list[Run](), 0
    while coming or going:
        if not going:
            now = max(now, coming[0].asked)
        going += [one for one in coming if one.asked <= now]
        coming = [one for one in coming if one.asked > now]
        places = Counter[int]()
        wants: list[tuple[int, int, int, str]] = []
        for number, one in enumerate(going):
            places[one.service] += 1
            if places[one.service] <= 4:
                wants += [(-WEIGHT[task], one.asked, number, task) for task in one.waiting()]
        free = slots - sum(len(one.at_work) for one in going)
        for _, _, number, task in sorted(wants)[:free]:
            going[number].at_work[task] = now + takes[task]
        now = min(end for one in going for end in one.at_work.values())
        for one in going:
            done = {task for task, end in one.at_work.items() if end <= now}
            one.ended |= done
            one.at_work = {task: end for task, end in one.at_work.items() if task not in done}
            if len(one.ended) == len(RELEASE):
                one.finished = now
        if until and until.finished:
            return
        going = [one for one in going if not one.finished]


TAKES = st.fixed_dictionaries({task: st.integers(1, 9) for task in RELEASE})


@pytest.mark.parametrize("slots", [1, 2, 8])
def test_services_that_push_at_once_wait_about_as_long(slots: int) -> None:
    takes = dict.fromkeys(RELEASE, 1) | dict.fromkeys(GATES, 4)
    runs = [Run(one, 0) for one in range(10)]
    shared(runs, slots, takes)
    waits = [one.finished for one in runs]
    assert max(waits) <= 2 * min(waits)


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(1, 8), st.integers(1, 20), TAKES)
def test_stream_of_others_pushes_starves_nobody(
    services: int, slots: int, every_s: int, takes: dict[str, int]
) -> None:
    """Each of the others has four releases at once, and new ones for ever: what was asked for at the start ends all the same."""
    bound = sum(takes.values()) * (4 * services + 1)
    own = Run(0, 0)
    others = [
        Run(1 + service, moment)
        for service in range(services)
        for moment in range(0, bound, every_s + bound // 30)
    ]
    shared([*others, own], slots, takes, until=own)
    assert 0 < own.finished <= bound
