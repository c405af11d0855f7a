"""The nightly refresh: what it did, and which images a release was made with, so that it is known what is stale."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        ALTER TABLE releases ADD COLUMN images jsonb;
        CREATE TABLE refreshes (
            run_id text NOT NULL,
            environment text NOT NULL,
            status text,
            releases jsonb NOT NULL DEFAULT '{}',
            report jsonb,
            started_at timestamptz NOT NULL DEFAULT now(),
            finished_at timestamptz,
            CONSTRAINT refreshes_pkey PRIMARY KEY (run_id),
            CONSTRAINT refreshes_status_check CHECK (status IN ('passed', 'failed', 'errored')),
            CONSTRAINT refreshes_finished_check CHECK ((status IS NULL) = (finished_at IS NULL)),
            CONSTRAINT refreshes_order_check CHECK (finished_at >= started_at)
        );
        CREATE INDEX refreshes_started_idx ON refreshes (started_at DESC)
    """)
