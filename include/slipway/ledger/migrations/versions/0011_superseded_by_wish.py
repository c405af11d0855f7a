"""A release may end for one that was asked for and has not begun."""

from alembic import op

revision = "0011"
down_revision = "0012"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        ALTER TABLE releases DROP CONSTRAINT IF EXISTS releases_superseded_by_fkey;
        ALTER TABLE releases ADD CONSTRAINT releases_superseded_by_fkey
            FOREIGN KEY (superseded_by) REFERENCES wishes (run_id);
    """)
