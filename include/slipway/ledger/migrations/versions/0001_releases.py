"""Releases, their stages, deployments, evidence and lanes."""

from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        CREATE TABLE releases (
            run_id text NOT NULL,
            service text NOT NULL,
            environment text NOT NULL,
            commit text NOT NULL,
            ref text NOT NULL,
            status text NOT NULL,
            attempts bigint NOT NULL DEFAULT 1,
            tree text,
            image text,
            digest text,
            config_revision text,
            infra_hash text,
            schema_revision_before text,
            schema_revision text,
            manifests jsonb,
            superseded_by text,
            reason text,
            stage text,
            started_at timestamptz NOT NULL DEFAULT now(),
            finished_at timestamptz,
            CONSTRAINT releases_pkey PRIMARY KEY (run_id),
            CONSTRAINT releases_superseded_by_fkey FOREIGN KEY (superseded_by) REFERENCES releases (run_id),
            CONSTRAINT releases_status_check CHECK (status IN
                ('running', 'passed', 'failed', 'errored', 'superseded', 'rejected', 'rolled_back', 'cancelled')),
            CONSTRAINT releases_finished_check CHECK ((status = 'running') = (finished_at IS NULL)),
            CONSTRAINT releases_order_check CHECK (finished_at >= started_at),
            CONSTRAINT releases_superseded_check CHECK
                (superseded_by IS NULL OR (status = 'superseded' AND superseded_by <> run_id)),
            CONSTRAINT releases_commit_check CHECK (commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'),
            CONSTRAINT releases_identity_check CHECK (starts_with(run_id, service || '.' || left(commit, 12))),
            CONSTRAINT releases_digest_check CHECK (digest ~ '^sha256:[0-9a-f]{64}$')
        );
        CREATE INDEX releases_service_environment_started_idx ON releases (service, environment, started_at DESC);
        CREATE INDEX releases_service_commit_idx ON releases (service, commit text_pattern_ops);

        CREATE TABLE stages (
            run_id text NOT NULL,
            name text NOT NULL,
            outcome text NOT NULL,
            seconds double precision NOT NULL,
            reason text,
            started_at timestamptz NOT NULL,
            CONSTRAINT stages_pkey PRIMARY KEY (run_id, name),
            CONSTRAINT stages_run_id_fkey FOREIGN KEY (run_id) REFERENCES releases (run_id) ON DELETE CASCADE,
            CONSTRAINT stages_outcome_check CHECK (outcome IN
                ('passed', 'failed', 'errored', 'skipped', 'superseded', 'rejected', 'rolled_back', 'cancelled')),
            CONSTRAINT stages_seconds_check CHECK (seconds >= 0 AND seconds < 'infinity')
        );

        CREATE TABLE deployments (
            id bigint GENERATED ALWAYS AS IDENTITY,
            run_id text NOT NULL,
            service text NOT NULL,
            environment text NOT NULL,
            good boolean NOT NULL DEFAULT false,
            deployed_at timestamptz NOT NULL DEFAULT now(),
            ended_at timestamptz,
            CONSTRAINT deployments_pkey PRIMARY KEY (id),
            CONSTRAINT deployments_run_id_fkey FOREIGN KEY (run_id) REFERENCES releases (run_id),
            CONSTRAINT deployments_order_check CHECK (ended_at >= deployed_at)
        );
        CREATE INDEX deployments_run_id_idx ON deployments (run_id);
        CREATE UNIQUE INDEX deployments_one_active ON deployments (service, environment) WHERE ended_at IS NULL;
        CREATE INDEX deployments_good ON deployments (service, environment, id DESC) WHERE good;

        CREATE TABLE evidence (
            key text NOT NULL,
            gate text NOT NULL,
            outcome text NOT NULL,
            run_id text NOT NULL,
            tree text NOT NULL,
            seconds double precision NOT NULL,
            reason text,
            report jsonb,
            recorded_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT evidence_pkey PRIMARY KEY (key),
            CONSTRAINT evidence_run_id_fkey FOREIGN KEY (run_id) REFERENCES releases (run_id),
            CONSTRAINT evidence_key_check CHECK (key ~ '^[0-9a-f]{64}$'),
            CONSTRAINT evidence_outcome_check CHECK (outcome IN ('passed', 'failed')),
            CONSTRAINT evidence_seconds_check CHECK (seconds >= 0 AND seconds < 'infinity')
        );

        CREATE TABLE lanes (
            service text NOT NULL,
            environment text NOT NULL,
            run_id text NOT NULL,
            acquired_at timestamptz NOT NULL,
            expires_at timestamptz NOT NULL,
            CONSTRAINT lanes_pkey PRIMARY KEY (service, environment),
            CONSTRAINT lanes_run_id_fkey FOREIGN KEY (run_id) REFERENCES releases (run_id),
            CONSTRAINT lanes_order_check CHECK (expires_at > acquired_at)
        );
    """)
