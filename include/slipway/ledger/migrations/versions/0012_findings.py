"""What gates found and what followed from it, by run and stage; and the findings that a service came in with."""

from alembic import op

revision = "0012"
down_revision = "0010"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        CREATE TABLE IF NOT EXISTS findings (
            run_id text NOT NULL CONSTRAINT findings_run_id_fkey REFERENCES releases (run_id) ON DELETE CASCADE,
            stage text NOT NULL,
            policy text NOT NULL CONSTRAINT findings_policy_check CHECK (policy IN ('enforce', 'warn', 'off')),
            judged jsonb NOT NULL,
            unused jsonb NOT NULL,
            recorded_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT findings_pkey PRIMARY KEY (run_id, stage)
        );
        CREATE TABLE IF NOT EXISTS baselines (
            service text NOT NULL,
            stage text NOT NULL,
            commit text NOT NULL CONSTRAINT baselines_commit_check CHECK (commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
            fingerprints jsonb NOT NULL,
            taken_at timestamptz NOT NULL DEFAULT now(),
            changed_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT baselines_pkey PRIMARY KEY (service, stage)
        );
    """)
