"""Which Slipway made each record, and from which entry of the catalog. Of earlier records nobody knows."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        ALTER TABLE releases ADD COLUMN IF NOT EXISTS slipway text, ADD COLUMN IF NOT EXISTS catalog text;
        ALTER TABLE stages ADD COLUMN IF NOT EXISTS slipway text;
        ALTER TABLE evidence ADD COLUMN IF NOT EXISTS slipway text;
        ALTER TABLE rollbacks ADD COLUMN IF NOT EXISTS slipway text;
        ALTER TABLE refreshes ADD COLUMN IF NOT EXISTS slipway text
    """)
