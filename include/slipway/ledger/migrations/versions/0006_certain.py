"""Changesets that were begun, and whose end nobody has told."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("ALTER TABLE changesets ADD COLUMN certain boolean NOT NULL DEFAULT true")
