"""Rollbacks by hand, until now found in the words of holds; and what was asked for, before any run of it has begun."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute(r"""
        CREATE TABLE rollbacks (
            run_id text NOT NULL,
            service text NOT NULL,
            environment text NOT NULL,
            asked_by text,
            reason text,
            from_run_id text,
            to_run_id text,
            state text NOT NULL,
            started_at timestamptz NOT NULL DEFAULT now(),
            finished_at timestamptz,
            CONSTRAINT rollbacks_pkey PRIMARY KEY (run_id),
            CONSTRAINT rollbacks_from_run_id_fkey FOREIGN KEY (from_run_id) REFERENCES releases (run_id),
            CONSTRAINT rollbacks_to_run_id_fkey FOREIGN KEY (to_run_id) REFERENCES releases (run_id),
            CONSTRAINT rollbacks_state_check CHECK (state IN ('waiting', 'running', 'passed', 'failed', 'errored')),
            CONSTRAINT rollbacks_chosen_check CHECK
                ((from_run_id IS NULL) = (to_run_id IS NULL) AND
                 (state NOT IN ('running', 'passed') OR to_run_id IS NOT NULL)),
            CONSTRAINT rollbacks_finished_check CHECK ((state IN ('waiting', 'running')) = (finished_at IS NULL)),
            CONSTRAINT rollbacks_order_check CHECK (finished_at >= started_at)
        );
        CREATE INDEX rollbacks_from_run_id_idx ON rollbacks (from_run_id);

        -- Only a rollback by hand wrote a reason that begins so together with a run: a person's hold has no run, and the
        -- reason of a release that was rolled back by itself begins with the name of its stage.
        INSERT INTO rollbacks (run_id, service, environment, reason, from_run_id, to_run_id, state, started_at, finished_at)
        SELECT DISTINCT ON (said[1]) said[1], h.service, h.environment, nullif(said[2], 'no reason was given'),
               h.run_id, r.rolled_back_to, 'passed', h.held_at, h.held_at
        FROM holds h
        JOIN releases r ON r.run_id = h.run_id AND r.rolled_back_to IS NOT NULL
        CROSS JOIN LATERAL regexp_match(h.reason, '^rolled back by hand \(([^)]+)\): (.*)$') AS said
        WHERE said IS NOT NULL
        ORDER BY said[1], h.held_at DESC;

        CREATE TABLE wishes (
            run_id text NOT NULL,
            service text NOT NULL,
            environment text NOT NULL,
            commit text NOT NULL,
            ref text NOT NULL,
            is_head boolean NOT NULL,
            asked_by text NOT NULL,
            requested_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT wishes_pkey PRIMARY KEY (run_id),
            CONSTRAINT wishes_commit_check CHECK (commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$')
        );
        CREATE INDEX wishes_requested_idx ON wishes (service, environment, requested_at DESC);

        -- Until now a commit's first run was that of its push, and every other one a person's or the refresh's.
        INSERT INTO wishes (run_id, service, environment, commit, ref, is_head, asked_by, requested_at)
        SELECT run_id, service, environment, commit, ref, run_id = service || '.' || left(commit, 12), 'before', requested_at
        FROM releases
    """)
