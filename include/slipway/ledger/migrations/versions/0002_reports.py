"""Reports that gates wrote; and runs may have any id, since Airflow's own form names them."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        CREATE TABLE reports (
            run_id text NOT NULL,
            stage text NOT NULL,
            name text NOT NULL,
            content bytea NOT NULL,
            CONSTRAINT reports_pkey PRIMARY KEY (run_id, stage, name),
            CONSTRAINT reports_run_id_fkey FOREIGN KEY (run_id) REFERENCES releases (run_id) ON DELETE CASCADE,
            CONSTRAINT reports_content_check CHECK (octet_length(content) <= 2000000)
        );
        ALTER TABLE releases DROP CONSTRAINT releases_identity_check
    """)
