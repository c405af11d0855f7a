"""What is to be said of releases, to whom, and whether it was."""

from alembic import op

revision = "0016"
down_revision = "0014"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        CREATE TABLE IF NOT EXISTS outbox (
            id bigint GENERATED ALWAYS AS IDENTITY,
            service text NOT NULL,
            environment text NOT NULL,
            run_id text NOT NULL CONSTRAINT outbox_run_id_fkey REFERENCES releases (run_id) ON DELETE CASCADE,
            commit text NOT NULL CONSTRAINT outbox_commit_check CHECK (commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
            receiver text NOT NULL,
            outcome text NOT NULL,
            turn bigint NOT NULL,
            requested_at timestamptz NOT NULL,
            words jsonb NOT NULL,
            said_at timestamptz NOT NULL DEFAULT now(),
            attempts bigint NOT NULL DEFAULT 0,
            tried_at timestamptz,
            claimed_until timestamptz,
            sent_at timestamptz,
            dropped_at timestamptz,
            why text,
            CONSTRAINT outbox_pkey PRIMARY KEY (id),
            CONSTRAINT outbox_environment_receiver_run_id_turn_key UNIQUE (environment, receiver, run_id, turn),
            CONSTRAINT outbox_turn_check CHECK (turn >= 1),
            CONSTRAINT outbox_end_check CHECK (sent_at IS NULL OR dropped_at IS NULL)
        );
        CREATE INDEX IF NOT EXISTS outbox_unsent_idx ON outbox (service, id) WHERE sent_at IS NULL AND dropped_at IS NULL;
        CREATE INDEX IF NOT EXISTS outbox_commit_idx ON outbox (receiver, commit);

        CREATE INDEX IF NOT EXISTS deliveries_settled_idx ON deliveries (settled_at);
    """)
