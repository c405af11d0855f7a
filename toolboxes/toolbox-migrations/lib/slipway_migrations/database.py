"""The database itself: who may, who is there, and which failures are not the changelog's."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from slipway_migrations.outcome import Unavailable, shortened

CONNECT_S = 10
LOCK_TIMEOUT_S = 5
LEFT_S = 20  # how long the session of a dead pod may take to end
CHECK_S = 2  # how often the server looks whether the client of a running statement is still there
_KEY = int.from_bytes(hashlib.sha256(b"slipway-migrations").digest()[:8], "big", signed=True)

# What the server and its drivers say where the same changelog may pass later.
_PASSING = re.compile(
    r"canceling statement due to lock timeout|deadlock detected|could not obtain lock|could not serialize access"
    r"|terminating connection|connection (?:attempt (?:failed|timed out)|refused|reset)|connection to \S+ refused"
    r"|could not connect|i/o error occurred while sending|this connection has been closed|server closed the connection"
    r"|the database system is|(?:password|ident|peer|gss|ldap) authentication failed|no pg_hba\.conf entry|unknown host"
    r"|too many (?:clients|connections)|remaining connection slots|no space left on device|could not extend file"
    r"|out of (?:shared )?memory|cannot execute .* in a read-only transaction|could not acquire change log lock"
    r"|retries exceeded while attempting to acquire"
    r"|unable to (?:obtain connection|acquire .*lock|determine local host)"
    r"|role \S+ (?:does not exist|is not permitted to log in)",
    re.IGNORECASE,
)


def passes_later(said: str) -> bool:
    """Whether a failure is of the database, or of somebody who holds it, rather than of the changelog."""
    return bool(_PASSING.search(said))


@dataclass(frozen=True)
class Database:
    """Where the database is, and how every session of this program is set.

    :param pod: name of the pod that this runs in
    """

    host: str
    port: int
    name: str
    username: str
    password: str = field(repr=False)
    statement_timeout_s: int
    pod: str

    @classmethod
    def read(cls, file: Path, statement_timeout_s: int, pod: str) -> Database:
        try:
            given = json.loads(file.read_text(encoding="utf-8"))
            host, name, username, password = (
                str(given[key]) for key in ("host", "database", "username", "password")
            )
            return cls(host, int(given["port"]), name, username, password, statement_timeout_s, pod)
        except (OSError, ValueError, KeyError, TypeError) as broken:
            # its text may be the password's
            raise Unavailable(
                f"{file} holds no credentials ({type(broken).__name__}): "
                "JSON with host, port, database, username and password is to be mounted there"
            ) from None

    @property
    def application(self) -> str:
        return f"slipway {self.pod}"[:63]

    def redact(self, text: str) -> str:
        return text.replace(self.password, "***") if self.password else text

    def options(self, version: int, *, asks: bool) -> str:
        """Give the settings of a session. Since PostgreSQL 14 the server sees that a client is gone while it works for it.

        :param asks: the session may change nothing: Liquibase's `update-sql` releases the lock whoever's it is, and makes tables
        """
        settings = {
            "lock_timeout": f"{LOCK_TIMEOUT_S}s",
            "statement_timeout": f"{self.statement_timeout_s}s",
            **({"client_connection_check_interval": f"{CHECK_S}s"} if version >= 140000 else {}),
            **({"default_transaction_read_only": "on"} if asks else {}),
        }
        return " ".join(f"-c {name}={value}" for name, value in settings.items())

    def url(self, version: int, *, asks: bool) -> str:
        """Give the address as JDBC wants it, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        parameters = {
            "ApplicationName": self.application,
            "options": self.options(version, asks=asks),
            "connectTimeout": str(CONNECT_S),
            "loginTimeout": str(CONNECT_S),
            "tcpKeepAlive": "true",
            # a failing row's values are the users', and what is told ends up in logs, in the ledger and in git
            "logServerErrorDetail": "false",
        }
        told = "&".join(f"{name}={quote(value, safe='')}" for name, value in parameters.items())
        return f"jdbc:postgresql://{host}:{self.port}/{quote(self.name, safe='')}?{told}"

    @contextmanager
    def connect(self) -> Iterator[Session]:
        """Give a session in autocommit: one that idles in a transaction would keep an index from being made concurrently."""
        import psycopg2

        try:
            made = psycopg2.connect(
                host=self.host,
                port=self.port,
                dbname=self.name,
                user=self.username,
                password=self.password,
                connect_timeout=CONNECT_S,
                application_name=self.application,
                options=f"-c lock_timeout={LOCK_TIMEOUT_S}s -c statement_timeout=30s",
            )
        except psycopg2.Error as refused:
            raise Unavailable(
                f"database {self.name} at {self.host}:{self.port}: {self._said(refused)}"
            ) from None
        made.autocommit = True
        try:
            yield Session(made)
        except psycopg2.Error as failure:
            raise Unavailable(
                f"database {self.name} at {self.host}:{self.port}: {self._said(failure)}"
            ) from None
        finally:
            made.close()

    def _said(self, error: Exception) -> str:
        return shortened(self.redact(" ".join(str(error).split())) or type(error).__name__, 400)


@dataclass(frozen=True)
class Session:
    """A session of ours beside the tool's."""

    connection: Any

    @property
    def version(self) -> int:
        return int(self.connection.server_version)

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return list(cursor.fetchall()) if cursor.description else []

    def holds(self, table: str) -> bool:
        """Whether a table is where an engine makes its own: in the first schema of the search path."""
        return bool(
            self.rows("select to_regclass(quote_ident(current_schema()) || '.' || %s) is not null", [table])[
                0
            ][0]
        )

    def occupants(self, own: Sequence[str]) -> list[str]:
        """Give what the first schema of the search path holds, as Flyway counts it: no extension's, no type of a table's.

        :param own: tables that an engine made for itself
        """
        return [
            name
            for (name,) in self.rows(
                "with here as (select oid from pg_namespace where nspname = current_schema()), found as ("
                " select oid, relname as name from pg_class"
                " where relnamespace in (select oid from here) and relkind in ('r', 'p', 'v', 'm', 'f', 'S')"
                " and relname <> all(%s)"
                " union all select t.oid, typname from pg_type t where typnamespace in (select oid from here)"
                " and typtype in ('d', 'e', 'r') union all"
                " select oid, proname from pg_proc where pronamespace in (select oid from here))"
                " select distinct name from found"
                " where not exists (select from pg_depend d where d.objid = found.oid and d.deptype = 'e') order by name",
                [list(own)],
            )
        ]

    def together(self, statements: Sequence[tuple[str, Sequence[object]]]) -> None:
        """Run statements in one transaction: all of them, or none."""
        self.connection.autocommit = False
        try:
            with self.connection, self.connection.cursor() as cursor:
                for sql, parameters in statements:
                    cursor.execute(sql, parameters or None)
        finally:
            self.connection.autocommit = True

    def take(self) -> None:
        """Take this database for as long as this connection lives, or say that another has it.

        Liquibase's own lock is a row, and one that waits in vain for it removes it, whoever's it is: so there is never a second.
        """
        if not self.rows("select pg_try_advisory_lock(%s)", [_KEY])[0][0]:
            raise Unavailable(
                "another slipway-migrations changes this database now: try again when it has ended"
            )

    def let_the_dead_end(
        self, running: Sequence[str], log: Callable[[str], None], wait_s: float = LEFT_S
    ) -> None:
        """Wait for the end of sessions that belong to pods that do not run any more.

        :param running: names of the pods that run
        :raises Unavailable: one still works
        """
        ends, told = time.monotonic() + wait_s, False
        while True:
            found = self.rows(
                "select pid, application_name from pg_stat_activity where datname = current_database()"
                " and application_name like 'slipway %' and pid <> pg_backend_pid() order by pid"
            )
            left = [
                (pid, name) for pid, name in found if not is_among(name.removeprefix("slipway "), running)
            ]
            if not left:
                return
            who = ", ".join(f"{name} (pid {pid})" for pid, name in left)
            if time.monotonic() > ends:
                raise Unavailable(
                    f"sessions of pods that do not run any more still work in the database: {shortened(who, 300)}; "
                    "they end by their statement_timeout at the latest, or by pg_terminate_backend"
                )
            if not told:
                log(
                    f"waiting for the end of {who}, which a pod that does not run any more left in the database"
                )
                told = True
            time.sleep(0.5)


def is_among(name: str, running: Sequence[str]) -> bool:
    """Whether a pod runs, by its name as it was left somewhere, which may be cut."""
    return any(pod == name or (len(name) >= 50 and pod.startswith(name)) for pod in running)
