"""The code of the reason for which a stage or a release ended otherwise than passed; until now there were its words only."""

from alembic import op

revision = "0010"
down_revision = "0008"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    for table in ("releases", "stages"):
        op.execute(f"""
            ALTER TABLE {table} ADD COLUMN IF NOT EXISTS code text;
            ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_code_check;
            ALTER TABLE {table} ADD CONSTRAINT {table}_code_check
                CHECK (code ~ '^[a-z]+(-[a-z]+)*[.][a-z]+(-[a-z]+)*$');
        """)
