"""Who goes when several releases want the same environment: single decisions, then a model of a whole service's pushes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.release import Contender, Mode, ended_by, superseded_by, waits_for
from slipway.release.queue import BURST

START = datetime(2026, 1, 1, tzinfo=UTC)
NEWEST, EVERY = Mode.NEWEST, Mode.EVERY_COMMIT


def at(second: float, name: str = "", **state: bool) -> Contender:
    """Give a release that was asked for so many seconds after the start."""
    return Contender(name or f"svc.{second}", "0" * 40, START + timedelta(seconds=second), **state)


def gating(second: float, name: str = "") -> Contender:
    return at(second, name, running=True, accepted=True)


def wish(second: float, name: str = "") -> Contender:
    return at(second, name, begun=False)


LATER = BURST.total_seconds() + 1

STATES = st.fixed_dictionaries(
    {
        "begun": st.booleans(),
        "running": st.booleans(),
        "accepted": st.booleans(),
        "ending": st.booleans(),
        "ready": st.booleans(),
        "failing": st.booleans(),
        "held": st.booleans(),
        "deployed": st.booleans(),
        "answered": st.booleans(),
        "is_refresh": st.booleans(),
    }
).filter(lambda one: one["begun"] or not (one["running"] or one["ready"] or one["answered"]))

CONTENDERS = st.lists(
    st.builds(
        lambda number, second, state: at(second, f"svc.{number:012x}", **state),
        st.integers(0, 1000),
        st.integers(0, 300),
        STATES,
    ),
    max_size=6,
    unique_by=lambda one: one.run_id,
)


# --- before it is ready ---
@pytest.mark.parametrize("mode", list(Mode))
def test_nobody_newer_ends_nobody(mode: Mode) -> None:
    assert ended_by(at(5), [], mode) is None
    assert ended_by(at(5), [gating(1), at(2, deployed=True)], mode) is None
    assert superseded_by([]) is None


def test_gates_end_for_a_newer_push_of_the_same_burst() -> None:
    newer = wish(9)
    assert ended_by(gating(0), [newer], NEWEST) is newer


def test_the_newest_of_the_burst_is_named() -> None:
    assert ended_by(gating(0), [wish(1), wish(9), wish(LATER)], NEWEST) == wish(9)


def test_gates_do_not_end_for_a_push_that_comes_after_the_burst() -> None:
    assert ended_by(gating(0), [wish(LATER)], NEWEST) is None


def test_burst_begins_with_the_oldest_push_that_has_had_no_answer() -> None:
    ended = at(0, ending=True)
    assert ended_by(gating(100), [ended, wish(LATER)], NEWEST) is None
    answered = replace(ended, ending=False, answered=True)
    assert ended_by(gating(100), [answered, wish(LATER)], NEWEST) == wish(LATER)


def test_release_that_has_not_begun_ends_for_any_newer_one_while_another_is_at_work() -> None:
    own = at(LATER, running=True)
    assert ended_by(own, [gating(0), wish(LATER + 1)], NEWEST) == wish(LATER + 1)


def test_release_that_has_not_begun_goes_though_a_newer_one_waits_if_nobody_is_at_work() -> None:
    """Otherwise a stream of pushes, each of which comes before the last has begun, would end them all."""
    assert ended_by(at(LATER, running=True), [at(0, ending=True), wish(LATER + 1)], NEWEST) is None


@pytest.mark.parametrize("keeps", ["failing", "held", "ending"])
def test_newer_one_that_will_not_be_deployed_ends_nobody(keeps: str) -> None:
    assert ended_by(gating(0), [replace(gating(1), **{keeps: True})], NEWEST) is None
    assert superseded_by([replace(gating(1), ready=True, **{keeps: True})]) is None


def test_release_that_is_ready_ends_for_no_gates() -> None:
    assert ended_by(replace(gating(0), ready=True), [gating(1)], NEWEST) is None


def test_refresh_ends_for_any_push_and_counts_for_nobodys_burst() -> None:
    refresh = replace(gating(0), is_refresh=True)
    assert ended_by(refresh, [wish(LATER)], NEWEST) == wish(LATER)
    assert ended_by(gating(LATER), [refresh, wish(LATER + 1)], NEWEST) == wish(LATER + 1)


def test_where_every_commit_goes_only_what_is_deployed_ends_an_older_one() -> None:
    assert ended_by(gating(0), [gating(1), wish(2)], EVERY) is None
    assert ended_by(gating(0), [at(1, deployed=True)], EVERY) == at(1, deployed=True)


@settings(deadline=None, max_examples=50)
@given(CONTENDERS, STATES, st.sampled_from(Mode))
def test_nobody_ends_for_an_older_one_nor_for_one_that_cannot_go(
    others: list[Contender], own_state: dict[str, bool], mode: Mode
) -> None:
    own = at(150, "own", **own_state)
    by = ended_by(own, others, mode)
    if by is not None:
        assert by.order > own.order
        assert by.deployed or (mode is NEWEST and by.may_go)
    else:
        assert not any(one.deployed and one.order > own.order for one in others)


@settings(deadline=None, max_examples=50)
@given(CONTENDERS, STATES, st.sampled_from(Mode), st.randoms())
def test_the_order_in_which_they_are_looked_at_does_not_matter(
    others: list[Contender], own_state: dict[str, bool], mode: Mode, random: object
) -> None:
    own, shuffled = at(150, "own", **own_state), list(others)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert ended_by(own, shuffled, mode) == ended_by(own, others, mode)
    assert superseded_by(shuffled) == superseded_by(others)
    assert waits_for(own, shuffled, mode) == waits_for(own, others, mode)


# --- once it is ready ---
def test_the_newest_that_goes_supersedes_and_is_named() -> None:
    ready = replace(gating(1), ready=True)
    deployed = at(2, ready=True, deployed=True)
    assert superseded_by([deployed, ready, gating(3)]) is deployed
    assert superseded_by([ready, gating(3)]) is ready


@settings(deadline=None, max_examples=50)
@given(CONTENDERS)
def test_what_failed_or_ended_before_its_deployment_never_supersedes(found: list[Contender]) -> None:
    by = superseded_by(found)
    if by is not None:
        assert by.deployed or (by.running and by.ready and by.may_go)
    else:
        assert not any(one.deployed for one in found)


def test_where_every_commit_goes_the_oldest_that_has_not_ended_goes_first() -> None:
    others = [gating(1), replace(gating(2), failing=True), wish(0), at(-1), gating(9)]
    assert waits_for(gating(5), others, EVERY) == wish(0)
    assert waits_for(gating(5), others[:2], EVERY) == gating(1)
    assert waits_for(gating(5), others, NEWEST) is None


# --- a model of the whole ---
ACCEPT_S = 2.0


@dataclass
class Push:
    """A push of the model: how long its gates and its deployment take, and how they end."""

    number: int
    asked: float
    gates_s: float
    deploy_s: float
    good: bool
    phase: str = "waits"
    until: float = 0.0
    by: str | None = None

    @property
    def run_id(self) -> str:
        """Its run."""
        return f"svc.{self.number:06d}"

    @property
    def running(self) -> bool:
        """Whether it has one of the service's places."""
        return self.phase in ("accept", "gates", "ready", "deploys")

    def seen(self) -> Contender:
        """Give it as the queue sees it."""
        return at(
            self.asked,
            self.run_id,
            begun=self.phase != "waits",
            running=self.running,
            accepted=self.phase in ("gates", "ready", "deploys"),
            ready=self.phase in ("ready", "deploys"),
            ending=self.phase == "superseded",
            deployed=self.phase in ("deploys", "deployed"),
            answered=self.phase in ("failed", "deployed"),
        )


@dataclass
class Service:
    """One service's queue, from event to event: what the stages do, with the decisions that they ask."""

    pushes: list[Push]
    mode: Mode
    places: int = 4
    now: float = 0.0
    went: list[Push] = field(default_factory=list)
    went_at: list[float] = field(default_factory=list)

    def step(self) -> bool:
        """Go to the next moment at which something happens; tell whether there was one."""
        coming = [one.asked for one in self.pushes if one.asked > self.now]
        coming += [one.until for one in self.pushes if one.running and one.until > self.now]
        if coming:
            self.now = min(coming)
        changed = True
        while changed:
            changed = any(self.advance(one) for one in self.pushes if one.running)
            free = self.places - sum(one.running for one in self.pushes)
            waiting = [one for one in self.pushes if one.phase == "waits" and one.asked <= self.now]
            for one in waiting[: max(0, free)]:
                one.phase, one.until, changed = "accept", self.now + ACCEPT_S, True
        return bool(coming) or any(one.running and one.until > self.now for one in self.pushes)

    def advance(self, own: Push) -> bool:
        """Let a run do what it does now; tell whether that is anything."""
        was = own.phase
        others = [one.seen() for one in self.pushes if one is not own and one.asked <= self.now]
        me, over = own.seen(), self.now >= own.until
        if was == "deploys":
            if over:
                own.phase = "deployed"
        elif (was == "gates" or (was == "accept" and over)) and (by := ended_by(me, others, self.mode)):
            own.phase, own.by = "superseded", by.run_id
        elif was == "accept" and over:
            own.phase, own.until = "gates", self.now + own.gates_s
        elif was == "gates" and over:
            own.phase = "ready" if own.good else "failed"
        elif was == "ready":
            newer = [one for one in others if one.order > me.order]
            by = superseded_by(one for one in newer if one.deployed or self.mode is NEWEST)
            if by:
                own.phase, own.by = "superseded", by.run_id
            elif not waits_for(me, others, self.mode) and not any(p.phase == "deploys" for p in self.pushes):
                own.phase, own.until = "deploys", self.now + own.deploy_s
                self.went.append(own)
                self.went_at.append(self.now)
        return own.phase != was

    def settle(self) -> None:
        """Let it run until nothing is left to do."""
        while self.step():
            pass
        assert not [one for one in self.pushes if one.running or one.phase == "waits"], "stuck"


def pushes(
    gaps: Sequence[float], gates: Sequence[float], deploys: Sequence[float], good: list[bool]
) -> list[Push]:
    found, asked = [], 0.0
    for number, gap in enumerate(gaps):
        asked += gap
        found.append(
            Push(
                number,
                asked,
                gates[number % len(gates)],
                deploys[number % len(deploys)],
                good[number % len(good)],
            )
        )
    return found


HISTORY = st.builds(
    pushes,
    st.lists(st.integers(0, 200), min_size=1, max_size=10),
    st.lists(st.integers(1, 150), min_size=1, max_size=4),
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=1, max_size=5),
)


@settings(deadline=None, max_examples=20)
@given(HISTORY, st.sampled_from(Mode), st.integers(1, 4))
def test_every_push_ends_none_overtakes_backwards_and_one_holds_at_a_time(
    history: list[Push], mode: Mode, places: int
) -> None:
    service = Service(history, mode, places)
    service.settle()
    order = [one.number for one in service.went]
    assert order == sorted(order)
    for one in history:
        assert one.phase != "superseded" or str(one.by) > one.run_id
    # at the end of a chain of those that ended for another is one that came to a verdict
    assert history[-1].phase == ("deployed" if history[-1].good else "failed")


@settings(deadline=None, max_examples=20)
@given(HISTORY, st.integers(1, 4))
def test_where_every_commit_goes_each_good_one_is_deployed_in_order(history: list[Push], places: int) -> None:
    service = Service(history, EVERY, places)
    service.settle()
    assert [one.number for one in service.went] == [one.number for one in history if one.good]
    assert not any(one.phase == "superseded" for one in history)


@settings(deadline=None, max_examples=8)
@given(st.integers(5, 150), st.integers(1, 200), st.integers(1, 60), st.integers(1, 4))
def test_steady_stream_of_pushes_keeps_none_from_being_deployed(
    every_s: int, gates_s: int, deploy_s: int, places: int
) -> None:
    """However quickly they come: within a burst and the time that a release takes, there is one more that is deployed."""
    takes = gates_s + deploy_s + ACCEPT_S
    lasts = 3 * (BURST.total_seconds() + takes + every_s)
    service = Service(pushes([every_s] * int(lasts / every_s), [gates_s], [deploy_s], [True]), NEWEST, places)
    while service.now < lasts - every_s and service.step():
        pass
    moments = [0.0, *service.went_at, service.now]
    # with fewer places the backlog is looked through more slowly
    bound = BURST.total_seconds() * (1 + ACCEPT_S / every_s / places) + 2 * takes + every_s
    assert max(later - earlier for earlier, later in pairwise(moments)) <= bound


def test_of_a_burst_only_the_newest_is_gated_to_its_end() -> None:
    burst = pushes([1] * 10, [60], [10], [True])
    service = Service(burst, NEWEST)
    service.settle()
    assert [one.number for one in service.went] == [9]
    assert {one.phase for one in burst[:-1]} == {"superseded"}
    assert service.now < 100


def test_older_one_stays_ended_when_the_newer_fails() -> None:
    burst = pushes([1, 5], [60], [10], [True, False])
    Service(burst, NEWEST).settle()
    assert [one.phase for one in burst] == ["superseded", "failed"]
