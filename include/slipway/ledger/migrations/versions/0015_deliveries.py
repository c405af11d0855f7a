"""Deliveries of forges' hooks, before it is known what they ask for."""

from alembic import op

revision = "0015"
down_revision = "0011"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        CREATE TABLE IF NOT EXISTS deliveries (
            id bigint GENERATED ALWAYS AS IDENTITY,
            service text NOT NULL,
            forge text NOT NULL,
            delivery text NOT NULL,
            ref text NOT NULL,
            told text NOT NULL CONSTRAINT deliveries_told_check CHECK (told ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
            run_id text CONSTRAINT deliveries_run_id_fkey REFERENCES wishes (run_id),
            received_at timestamptz NOT NULL DEFAULT now(),
            settled_at timestamptz,
            CONSTRAINT deliveries_pkey PRIMARY KEY (id),
            CONSTRAINT deliveries_service_forge_delivery_key UNIQUE (service, forge, delivery),
            CONSTRAINT deliveries_settled_check CHECK (run_id IS NULL OR settled_at IS NOT NULL),
            CONSTRAINT deliveries_order_check CHECK (settled_at >= received_at)
        );
        CREATE INDEX IF NOT EXISTS deliveries_waiting_idx ON deliveries (service, id) WHERE settled_at IS NULL;
        CREATE INDEX IF NOT EXISTS deliveries_heard_idx ON deliveries (service, received_at DESC);
    """)
