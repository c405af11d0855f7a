"""Prompts in Postgres."""

from typing import Self

from psycopg import Connection, OperationalError
from psycopg.errors import InsufficientPrivilege, UndefinedColumn, UndefinedTable
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool

from prompt_library import templates
from prompt_library.models import NewVersion, Prompt, PromptVersion
from prompt_library.settings import Settings

# The database is away or not yet migrated: a later attempt can succeed. Other errors are faults of this code.
UNAVAILABLE = (OperationalError, UndefinedColumn, UndefinedTable)

# Columns are named, not `*`: a new column must not change what running pods' prepared statements give.
_ADD_PROMPT = "insert into prompts (name) values (%s) on conflict do nothing"
_LATEST = """
select p.latest, v.name, v.version, v.template, v.variables, v.note, v.created_at
from prompts p left join prompt_versions v on v.name = p.name and v.version = p.latest
where p.name = %s for update of p
"""
_COUNT = "update prompts set latest = %s, updated_at = now() where name = %s"
_ADD_VERSION = """
insert into prompt_versions (name, version, template, variables, note) values (%s, %s, %s, %s, %s)
returning name, version, template, variables, note, created_at
"""
_FIND = """
select v.name, v.version, v.template, v.variables, v.note, v.created_at
from prompts p join prompt_versions v on v.name = p.name
where p.name = %s and v.version = coalesce(%s, p.latest)
"""
_LIST = """
select p.name, p.latest, v.variables, p.updated_at
from prompts p join prompt_versions v on v.name = p.name and v.version = p.latest
where p.name > %s order by p.name limit %s
"""
_LIST_BY_VARIABLE = """
select p.name, p.latest, v.variables, p.updated_at
from prompts p join prompt_versions v on v.name = p.name and v.version = p.latest
where p.name > %s and v.variables @> array[%s]::text[] order by p.name limit %s
"""


class SchemaError(Exception):
    """The database answers, but does not have the schema that this code needs."""


class Store:
    """Reads and writes prompts over a small pool of connections; a context manager that closes it.

    Opening does not wait for the database: the service starts without it, says so at /readyz, and recovers.

    :param needs: script and version of the migration without which this code does not work.
    """

    def __init__(self, settings: Settings, needs: tuple[str, str]) -> None:
        self._needs = needs
        self._pool: ConnectionPool[Connection[DictRow]] = ConnectionPool(
            settings.conninfo,
            connection_class=Connection[DictRow],
            kwargs={
                "row_factory": dict_row,
                "connect_timeout": max(2, int(settings.database_timeout_s)),
                "application_name": f"prompt-library {settings.commit[:12]}",
            },
            configure=lambda connection: _limit(connection, settings.database_timeout_s),
            check=self._checked,
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

    def add(self, new: NewVersion) -> tuple[PromptVersion, bool]:
        """Store a version; give it, and whether it is new: what the newest says already makes none.

        Versions of one prompt are made one after the other, since each locks its prompt's row.
        """
        with self._pool.connection() as connection:
            connection.execute(_ADD_PROMPT, (new.name,))
            newest = connection.execute(_LATEST, (new.name,)).fetchone() or {}
            latest = newest.get("latest", 0)
            if latest and (newest["template"], newest["note"]) == (new.template, new.note):
                return PromptVersion.model_validate(newest), False
            version = latest + 1
            needed = list(templates.variables(new.template))
            connection.execute(_COUNT, (version, new.name))
            values = (new.name, version, new.template, needed, new.note)
            row = connection.execute(_ADD_VERSION, values).fetchone()
        return PromptVersion.model_validate(row), True

    def find(self, name: str, version: int | None = None) -> PromptVersion | None:
        """A version of a prompt, the newest if none is named; None if it does not exist."""
        with self._pool.connection() as connection:
            row = connection.execute(_FIND, (name, version)).fetchone()
        return None if row is None else PromptVersion.model_validate(row)

    def list(self, *, after: str, limit: int, variable: str | None) -> list[Prompt]:
        """Up to `limit` prompts, by name, that come after a name and (if one is given) use a variable."""
        with self._pool.connection() as connection:
            rows = (
                connection.execute(_LIST, (after, limit))
                if variable is None
                else connection.execute(_LIST_BY_VARIABLE, (after, variable, limit))
            ).fetchall()
        return [Prompt.model_validate(row) for row in rows]

    def check(self) -> None:
        """Look whether prompts can be stored now.

        :raises SchemaError: the migration that this code needs is not in the database
        :raises OperationalError: the database does not answer in time.
        """
        script, version = self._needs
        query = "select 1 from flyway_schema_history where version = %s and success"
        try:
            with self._pool.connection() as connection:
                found = connection.execute(query, (version,)).fetchone()
        except (InsufficientPrivilege, UndefinedTable) as error:
            raise SchemaError(f"{script} is needed; {str(error).partition(chr(10))[0]}") from error
        if found is None:
            raise SchemaError(f"{script} is needed and was not run: migrate the database")

    def _checked(self, connection: Connection[DictRow]) -> None:
        """Before a connection is handed out: if the server ended it, replace all that wait in the pool.

        The pool alone would try them one by one, 1, 2, 4 … s apart: longer than a request may wait.
        """
        try:
            ConnectionPool.check_connection(connection)
        except OperationalError:
            self._pool.drain()
            raise


def _limit(connection: Connection[DictRow], seconds: float) -> None:
    milliseconds = str(max(1, int(seconds * 1000)))
    connection.execute("select set_config('statement_timeout', %s, false)", (milliseconds,))
    connection.commit()
