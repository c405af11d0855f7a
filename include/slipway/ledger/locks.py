"""Locks in the ledger's database: what one worker at a time may do, and which a killed one leaves with its connection."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func, select

from slipway.errors import Transient
from slipway.ledger.database import Database


class Locks(Database):
    """Locks by name, of all workers."""

    @contextmanager
    def exclusive(self, name: str, timeout_s: float) -> Iterator[None]:
        """Holds the lock ``name`` while the body runs: of all workers one at a time. A killed worker's ends with it.

        :raises Transient: if another holds it for ``timeout_s`` seconds.
        """
        key, end = func.hashtextextended(name, 1), time.monotonic() + timeout_s
        with (
            self.explained(),
            self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection,
        ):
            connection.detach()  # not the pool's: whatever ends the body, the lock ends with the connection
            while not connection.scalar(select(func.pg_try_advisory_lock(key))):
                if time.monotonic() > end:
                    raise Transient(
                        f"another task works on {name} for more than {timeout_s:.0f} s",
                        code="ledger.lock-held",
                        remedy="see which other release is at the same stage; it is bounded in time",
                    )
                time.sleep(0.2)
            yield
