"""The ledger's database: one pool of connections in each process, one transaction for each decision."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, create_engine, func
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from sqlalchemy.orm import Session

from slipway.errors import Permanent, SlipwayError, Transient

NOW = func.clock_timestamp()  # now() is the transaction's start: too early after a wait for a lock

_engines: dict[URL, Engine] = {}


def _leave_to_parent() -> None:
    """Leave the connections of the process that forked this one to it: two that spoke on one would mix up their answers.

    See https://docs.sqlalchemy.org/en/20/core/pooling.html#using-connection-pools-with-multiprocessing-or-os-fork
    """
    for engine in _engines.values():
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_to_parent)


def _engine(url: URL) -> Engine:
    known = _engines.get(url)
    return known or _engines.setdefault(
        url,
        create_engine(
            url,
            pool_size=2,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 10,
                "application_name": "slipway",
                "options": "-c statement_timeout=30000 -c lock_timeout=10000 -c timezone=utc",
            },
        ),
    )


def failure(where: str, error: DBAPIError) -> SlipwayError:
    """Gives our error for the database's: does a retry help? The statement's values stay out of the text."""
    why = [line[:300] for line in str(error.orig).strip().splitlines()] or [type(error.orig).__name__]
    state = str(getattr(error.orig, "pgcode", None) or "")
    if isinstance(error, IntegrityError):
        return Permanent(
            f"The ledger at {where} refused the change: {why[0]}",
            code="ledger.change-refused",
            lines=why[1:2],
        )
    if state.startswith("42"):
        return Permanent(
            f"The ledger at {where} has another schema than this version of Slipway: {why[0]}",
            code="ledger.schema-differs",
            remedy="Bring it up to date: `slipway.ledger.upgrade(url)`, as `slipway sandbox up` does.",
        )
    if isinstance(error, (OperationalError, InterfaceError)) or state[:2] in ("08", "40", "53", "57"):
        return Transient(
            f"The ledger at {where} does not answer: {why[0]}",
            code="ledger.unreachable",
            lines=why[1:2],
            remedy="Check that its Postgres runs and accepts this account.",
        )
    return Permanent(f"The ledger at {where} failed: {why[0]}", code="ledger.failed", lines=why[1:2])


class Database:
    """The ledger's Postgres. All that a process makes of one URL share their connections; a fork opens its own.

    :param url: `postgresql://user:password@host:port/database`; never shown.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except (ArgumentError, ValueError):
            raise Permanent(
                "The ledger's URL cannot be read.",
                code="ledger.url-malformed",
                remedy="postgresql://user:password@host:port/database",
            ) from None
        if parsed.get_backend_name() != "postgresql":
            raise Permanent(
                f"The ledger needs Postgres, not {parsed.get_backend_name()}.", code="ledger.not-postgres"
            )
        self.where = f"{parsed.host or 'local socket'}:{parsed.port or 5432}/{parsed.database}"
        self.engine = _engine(parsed.set(drivername="postgresql+psycopg2"))

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give a session whose changes are all kept if the body ends well, or else none.

        :raises SlipwayError: in place of the database's error: Transient if a retry may help.
        """
        with self.explained(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise our errors in place of the database's."""
        try:
            yield
        except DBAPIError as error:
            raise failure(self.where, error) from error
        except NoConnectionFree as error:
            raise Transient(
                f"The ledger at {self.where} has no connection free: this process uses too many at once.",
                code="ledger.no-connection-free",
                remedy="Nothing, if it passes: what asks for one waits half a minute.",
            ) from error

    def close(self) -> None:
        """Close the pooled connections of this process; whoever uses them next opens new ones."""
        self.engine.dispose()
