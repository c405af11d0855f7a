"""The ledger's database: out of reach, of another schema, and shared by what a process makes of one URL."""

from __future__ import annotations

import os

import pytest
from sqlalchemy import text

from slipway.errors import Permanent, Transient
from slipway.ledger import Ledger


def test_unreachable_ledger_is_transient_and_keeps_its_password_to_itself() -> None:
    ledger = Ledger("postgresql://ledger:hunter2@127.0.0.1:1/ledger")
    with pytest.raises(Transient, match=r"127\.0\.0\.1:1/ledger does not answer") as caught:
        ledger.record("x")
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__) + repr(ledger.engine)


def test_ledger_without_schema_says_how_to_get_it(postgres: str) -> None:
    ledger = Ledger(postgres.format("postgres"))
    with pytest.raises(Permanent, match=r"slipway\.ledger\.upgrade"):
        ledger.record("x")
    ledger.close()


def test_process_opens_one_pool_for_a_ledger_however_often_it_asks(url: str) -> None:
    used = set()
    for _ in range(3):
        with Ledger(url).transaction() as session:
            used.add(session.scalar(text("SELECT pg_backend_pid()")))
    assert len(used) == 1
    Ledger(url).close()


def test_fork_opens_a_connection_of_its_own_and_leaves_its_parents(url: str) -> None:
    ledger = Ledger(url)
    with ledger.transaction() as session:
        parents = session.scalar(text("SELECT pg_backend_pid()"))
        child = os.fork()  # while the connection is in use
        if child == 0:
            status = 1
            try:
                pids = set()
                for one in (ledger, Ledger(url)):
                    with one.transaction() as own:
                        pids.add(own.scalar(text("SELECT pg_backend_pid()")))
                ledger.close()
                status = int(parents in pids or len(pids) != 1)
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        assert session.scalar(text("SELECT pg_backend_pid()")) == parents
    ledger.close()
