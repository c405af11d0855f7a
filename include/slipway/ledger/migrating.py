"""Brings a database to the ledger's schema, with the migrations that are packaged beside this file."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from slipway.ledger.whole import Ledger

_LOCK = 0x51195A17  # any number, as long as every Slipway uses the same


def upgrade(url: str, revision: str = "head") -> None:
    """Brings the database of `url` to the newest schema. Safe to repeat, and from several processes at once.

    :param revision: the schema to bring it to, if not the newest.
    :raises Transient: when the database does not answer.
    """
    ledger = Ledger(url)
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    try:
        with ledger.transaction() as session:
            connection = session.connection()
            connection.execute(text("SET LOCAL lock_timeout = '60s'"))
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        ledger.close()
