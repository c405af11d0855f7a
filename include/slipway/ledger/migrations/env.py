"""Runs the migrations on the connection that `slipway.ledger.upgrade` gives: in its transaction and lock."""

from alembic import context

from slipway.ledger.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata)
context.run_migrations()
