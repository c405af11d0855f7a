"""A lane is waited for, within a bound, and taken at once from a run that has ended without leaving it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from slipway.errors import Transient
from slipway.ledger.records import Holder
from slipway.release import Status
from slipway.release.where import Where
from slipway.stages import position

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Lane:
    """A lane with holders, each until it is let go."""

    def __init__(self, *holders: str) -> None:
        self.holders = list(holders)

    def lane_acquire(self, service: str, environment: str, run_id: str, ttl_s: float) -> Holder | None:
        if self.holders:
            return Holder(self.holders[0], AT)
        self.holders.append(run_id)
        return None

    def lane_release(self, service: str, environment: str, run_id: str) -> bool:
        self.holders.remove(run_id)
        return True


def take(lane: Lane, *, goes_on: bool | None, leaves_after: int = 1_000) -> int:
    """Take it; give how often it was waited, a second each."""
    waits: list[str] = []

    def wait(what: str) -> None:
        assert what == f"{lane.holders[0]} has the lane"
        waits.append(what)
        if len(waits) == leaves_after:
            lane.holders.clear()

    position.take_lane(
        lane,
        "me",
        "svc",
        "staging",
        ttl_s=60,
        wait_s=30,
        goes_on=lambda _: goes_on,
        waited=lambda: len(waits),
        wait=wait,
    )
    return len(waits)


def test_a_free_lane_is_taken_without_a_wait() -> None:
    lane = Lane()
    assert take(lane, goes_on=None) == 0
    assert lane.holders == ["me"]


def test_the_lane_of_a_dead_run_is_taken_at_once() -> None:
    assert take(Lane("dead"), goes_on=False) == 0


@pytest.mark.parametrize("goes_on", [True, None])
def test_that_of_another_is_waited_for(goes_on: bool | None) -> None:
    lane = Lane("other")
    assert take(lane, goes_on=goes_on, leaves_after=3) == 3
    assert lane.holders == ["me"]


def test_the_wait_has_an_end_and_says_who_has_it() -> None:
    with pytest.raises(Transient, match="other has the lane of svc in staging for more than 30 s"):
        take(Lane("other"), goes_on=True)


def test_where_a_release_is_is_read_from_its_records(books: Any) -> None:
    def where(run: str, **more: Any) -> Where:
        return position.of(books, run, "svc", "staging", **more).where

    assert where("svc.x") is Where.UNKNOWN
    assert (where("svc.a"), where("svc.b")) == (Where.OVERTAKEN, Where.DEPLOYED)
    books.add("svc.c", Status.RUNNING)
    assert (where("svc.c", goes_on=True), where("svc.c", goes_on=False)) == (Where.BEFORE, Where.ABANDONED)
    books.rolled_back("svc.b", "svc.a", "no")
    asked: list[str] = []

    def serves(release: Any) -> bool:
        asked.append(release.run_id)
        return True

    assert where("svc.b", serves=serves) is Where.RETURNED
    assert (
        where("svc.a", serves=serves) is Where.DEPLOYED
    )  # the cluster is asked of what was returned to alone
    assert asked == ["svc.a"]
