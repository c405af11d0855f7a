"""The order of requests decides who supersedes whom; and others than releases may hold a lane (the nightly refresh)."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        ALTER TABLE releases ADD COLUMN requested_at timestamptz, ADD COLUMN ready_at timestamptz;
        UPDATE releases SET requested_at = started_at;
        ALTER TABLE releases ALTER COLUMN requested_at SET NOT NULL, ALTER COLUMN requested_at SET DEFAULT now();
        CREATE INDEX releases_queue_idx ON releases (service, environment, requested_at DESC);
        ALTER TABLE lanes DROP CONSTRAINT lanes_run_id_fkey
    """)
