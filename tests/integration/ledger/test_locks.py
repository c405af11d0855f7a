"""What one worker at a time may do, one at a time does."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from slipway.errors import Transient
from slipway.ledger import Ledger


def test_exclusive_lets_one_in_at_a_time_and_the_next_after_it(ledger: Ledger) -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def work(_: int) -> None:
        nonlocal inside, most
        with ledger.exclusive("volume", 20):
            with guard:
                inside += 1
                most = max(most, inside)
            time.sleep(0.02)
            with guard:
                inside -= 1

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(6)))
    assert most == 1


def test_exclusive_is_bounded_and_says_what_is_held(ledger: Ledger) -> None:
    with ledger.exclusive("volume", 1):
        with pytest.raises(Transient, match="another task works on volume"), ledger.exclusive("volume", 0.1):
            pass
        with ledger.exclusive("another", 1):
            pass
    with ledger.exclusive("volume", 0.1):
        pass


def test_exclusive_is_given_back_when_the_body_fails(ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError), ledger.exclusive("volume", 1):
        _ = 1 / 0
    with ledger.exclusive("volume", 0.1):
        pass


def test_exclusive_takes_none_of_the_pooled_connections(ledger: Ledger) -> None:
    with ledger.exclusive("volume", 1):
        assert ledger.engine.pool.checkedout() == 0  # type: ignore[attr-defined]
    with ledger.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")) == 0
