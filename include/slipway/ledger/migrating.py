"""Brings a database to the ledger's schema, with the migrations that are packaged beside this file."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from slipway import version
from slipway.errors import Permanent
from slipway.ledger.whole import Ledger

_LOCK = 0x51195A17  # any number, as long as every Slipway uses the same


def upgrade(url: str, revision: str = "head") -> None:
    """Brings the database of `url` to the newest schema. Safe to repeat, and from several processes at once.

    :param revision: the schema to bring it to, if not the newest.
    :raises Transient: when the database does not answer.
    :raises Permanent: when its schema is none that this Slipway knows: a newer one has been here.
    """
    ledger = Ledger(url)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    try:
        with ledger.transaction() as session:
            connection = session.connection()
            connection.execute(text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            _known(ScriptDirectory.from_config(config), MigrationContext.configure(connection))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        ledger.close()


def _known(scripts: ScriptDirectory, database: MigrationContext) -> None:
    known = {one.revision for one in scripts.walk_revisions()}
    if unknown := sorted(set(database.get_current_heads()) - known):
        raise Permanent(
            f"the ledger's schema is at revision {unknown[0]}, which Slipway {version.this()} does not know (its newest: "
            f"{scripts.get_current_head()})",
            code="ledger.schema-newer",
            remedy="run the Slipway that has migrated it, or a newer one; back to this one leads only a backup of before",
        )
