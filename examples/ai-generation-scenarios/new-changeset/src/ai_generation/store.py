"""Generation jobs in Postgres."""

from typing import Self
from uuid import UUID

from psycopg import Connection, OperationalError
from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from ai_generation.models import Generation, GenerationRequest
from ai_generation.schema import REQUIRED_REVISION
from ai_generation.settings import Settings

# The database is away or not yet migrated: a later attempt can succeed. Other errors are faults of this code.
UNAVAILABLE = (OperationalError, UndefinedColumn, UndefinedTable)

# Columns are named, not `*`: a new column must not change what running pods' prepared statements give.
_BEGIN = """
insert into generations (prompt, max_words, seed, model, label) values (%s, %s, %s, %s, %s)
returning id, status, prompt, max_words, seed, model, text, created_at, finished_at, label
"""
_COMPLETE = """
update generations set status = 'completed', text = %s, finished_at = now()
where id = %s and status = 'running'
returning id, status, prompt, max_words, seed, model, text, created_at, finished_at, label
"""
_FIND = """
select id, status, prompt, max_words, seed, model, text, created_at, finished_at, label
from generations where id = %s
"""


class SchemaError(Exception):
    """The database answers, but does not have the schema that this code needs."""


class Store:
    """Reads and writes jobs over a small pool of connections; a context manager that closes it.

    Opening does not wait for the database: the service starts without it, says so at /readyz, and recovers.
    """

    def __init__(self, settings: Settings) -> None:
        milliseconds = max(1, int(settings.database_timeout_s * 1000))
        self._pool: ConnectionPool[Connection[DictRow]] = ConnectionPool(
            settings.conninfo,
            connection_class=Connection[DictRow],
            kwargs={
                "row_factory": dict_row,
                "connect_timeout": max(2, int(settings.database_timeout_s)),
                "application_name": f"ai-generation {settings.commit[:12]}",
            },
            configure=lambda connection: _limit(connection, milliseconds),
            check=self._drain_if_dead,
            min_size=1,
            max_size=settings.pool_max,
            timeout=settings.database_timeout_s,
            reconnect_timeout=5,  # stops the back-off growing: a returning database is found soon
            open=False,
        )

    def __enter__(self) -> Self:
        self._pool.open(wait=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close(timeout=2)

    def begin(self, request: GenerationRequest, *, seed: int, model: str) -> Generation:
        """Store a job as running, durably, before any work is done for it."""
        with self._pool.connection() as connection:
            row = connection.execute(
                _BEGIN, (request.prompt, request.max_words, seed, model, request.label)
            ).fetchone()
        return Generation.model_validate(row)

    def complete(self, job: UUID, text: str) -> Generation:
        """Store the text of a running job."""
        with self._pool.connection() as connection:
            row = connection.execute(_COMPLETE, (text, job)).fetchone()
        return Generation.model_validate(row)

    def find(self, job: UUID) -> Generation | None:
        """The job of this id, or None."""
        with self._pool.connection() as connection:
            row = connection.execute(_FIND, (job,)).fetchone()
        return None if row is None else Generation.model_validate(row)

    def check(self) -> None:
        """Look whether jobs can be stored now.

        :raises SchemaError: the changeset that this code requires is not in the database
        :raises OperationalError: the database does not answer in time.
        """
        query = "select 1 from databasechangelog where id = %s"
        try:
            with self._pool.connection() as connection:
                found = connection.execute(query, (REQUIRED_REVISION,)).fetchone()
        except (InsufficientPrivilege, UndefinedTable) as error:
            reason = str(error).partition("\n")[0]
            raise SchemaError(f"schema revision {REQUIRED_REVISION} is needed; {reason}") from error
        if found is None:
            raise SchemaError(f"schema revision {REQUIRED_REVISION} is missing: run the migrations")

    def _drain_if_dead(self, connection: Connection[DictRow]) -> None:
        """Before a connection is handed out: if the server ended it, replace all that wait in the pool.

        The pool alone would try them one by one, 1, 2, 4 … s apart: longer than a request may wait.
        """
        try:
            ConnectionPool.check_connection(connection)
        except OperationalError:
            self._pool.drain()
            raise


def _limit(connection: Connection[DictRow], milliseconds: int) -> None:
    connection.execute("select set_config('statement_timeout', %s, false)", (str(milliseconds),))
    connection.commit()
