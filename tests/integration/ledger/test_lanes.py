"""A lane has one holder."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from slipway.ledger import Ledger

A = "a" * 40
B = "ab" * 20


def test_lane_has_one_holder_until_it_lets_go(ledger: Ledger, begin: Callable[..., str]) -> None:
    first, second = begin(A), begin(B)
    assert ledger.lane_acquire("svc", "staging", first, 60) is None
    assert ledger.lane_acquire("svc", "staging", first, 60) is None
    holder = ledger.lane_acquire("svc", "staging", second, 60)
    assert holder is not None
    assert holder.run_id == first
    assert 50 < (holder.expires_at - datetime.now(UTC)).total_seconds() <= 61
    assert ledger.lane_acquire("svc", "production", second, 60) is None
    assert not ledger.lane_release("svc", "staging", second)
    assert not ledger.lane_renew("svc", "staging", second, 60)
    assert ledger.lane_release("svc", "staging", first)
    assert not ledger.lane_release("svc", "staging", first)
    assert ledger.lane_acquire("svc", "staging", second, 60) is None


def test_turns_of_a_lane_are_counted_and_keeping_it_is_none(
    ledger: Ledger, begin: Callable[..., str]
) -> None:
    first, second = begin(A), begin(B)
    assert ledger.lane_turn("turns", "staging") == 0
    for run in (first, first, second):  # the second one does not get it
        ledger.lane_acquire("turns", "staging", run, 60)
    assert ledger.lane_turn("turns", "staging") == 1
    ledger.lane_release("turns", "staging", first)
    assert ledger.lane_turn("turns", "staging") == 1
    ledger.lane_acquire("turns", "staging", second, 60)
    assert (ledger.lane_turn("turns", "staging"), ledger.lane_turn("turns", "production")) == (2, 0)


def test_expired_lane_is_anybodys_and_cannot_be_renewed(ledger: Ledger, begin: Callable[..., str]) -> None:
    first, second = begin(A), begin(B)
    ledger.lane_acquire("svc", "staging", first, 0.05)
    deadline = time.monotonic() + 5
    while ledger.lane_acquire("svc", "staging", second, 60) is not None:
        assert time.monotonic() < deadline
    assert not ledger.lane_renew("svc", "staging", first, 60)
    assert ledger.lane_renew("svc", "staging", second, 120)


def test_of_many_at_once_one_gets_the_lane_and_the_others_learn_who(
    ledger: Ledger, begin: Callable[..., str]
) -> None:
    runs = [begin(f"{number:040x}"[::-1]) for number in range(1, 17)]
    start = threading.Barrier(8)

    def take(run: str) -> str | None:
        start.wait(10)
        holder = ledger.lane_acquire("svc", "staging", run, 60)
        return holder.run_id if holder else None

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(take, runs))
    [winner] = [run for run, holder in zip(runs, found, strict=True) if holder is None]
    assert {holder for holder in found if holder} == {winner}
