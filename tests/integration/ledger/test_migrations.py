from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, inspect, text

import slipway.ledger.deliveries
import slipway.ledger.findings
import slipway.ledger.outbox
import slipway.ledger.refreshes
import slipway.ledger.reports  # noqa: F401 - their tables belong to the schema
from slipway.errors import Permanent
from slipway.ledger import upgrade
from slipway.ledger.tables import Table

# Alembic compares neither checks nor partial indexes: compare what Postgres says of the models' own tables.
_CONSTRAINTS = text(
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('c', 'f', 'p', 'u') "
    "AND connamespace = CAST(:schema AS regnamespace) AND conname NOT LIKE 'alembic%' ORDER BY 1"
)
_INDEXES = text(
    "SELECT replace(indexdef, :schema || '.', '') FROM pg_indexes "
    "WHERE schemaname = :schema AND tablename <> 'alembic_version' ORDER BY 1"
)


def described(connection: Connection, schema: str) -> list[tuple[str, ...]]:
    return [
        tuple(row)
        for found in (_CONSTRAINTS, _INDEXES)
        for row in connection.execute(found, {"schema": schema})
    ]


def test_migrations_lead_to_exactly_the_models(url: str) -> None:
    with create_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
        migrated = described(connection, "public")
        connection.execute(text("CREATE SCHEMA modelled"))
        connection.execute(text("SET search_path = modelled"))
        Table.metadata.create_all(connection)
        assert migrated == described(connection, "modelled")


def test_upgrade_is_repeatable_and_safe_at_once(postgres: str) -> None:
    with create_engine(postgres.format("postgres"), isolation_level="AUTOCOMMIT").connect() as admin:
        admin.execute(text("CREATE DATABASE at_once"))
    url = postgres.format("at_once")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [url] * 4))
    upgrade(url)
    assert set(inspect(create_engine(url)).get_table_names()) == {*Table.metadata.tables, "alembic_version"}


def test_schema_of_a_newer_slipway_is_left_alone_and_told(url: str) -> None:
    with create_engine(url).begin() as connection:
        [known] = connection.execute(text("UPDATE alembic_version SET version_num = 'x999' RETURNING 'was'"))
    with pytest.raises(Permanent, match="revision x999, which Slipway") as e:
        upgrade(url)
    assert (e.value.code, known) == ("ledger.schema-newer", ("was",))
