"""Plans, the order in which changesets were applied, the schema an image works with, and commits that are held."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        ALTER TABLE releases
            ADD COLUMN plan jsonb,
            ADD COLUMN plan_hash text,
            ADD COLUMN works_from text,
            ADD COLUMN rolled_back_to text REFERENCES releases (run_id);
        CREATE TABLE changesets (
            position bigint GENERATED ALWAYS AS IDENTITY,
            service text NOT NULL,
            environment text NOT NULL,
            id text NOT NULL,
            phase text NOT NULL,
            run_id text,
            recorded_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT changesets_pkey PRIMARY KEY (service, environment, id),
            CONSTRAINT changesets_phase_check CHECK (phase IN ('expand', 'contract'))
        );
        CREATE INDEX changesets_position_idx ON changesets (service, environment, position);
        CREATE TABLE holds (
            service text NOT NULL,
            environment text NOT NULL,
            commit text NOT NULL,
            config_revision text NOT NULL DEFAULT '',
            digest text NOT NULL DEFAULT '',
            run_id text,
            reason text NOT NULL,
            held_at timestamptz NOT NULL DEFAULT now(),
            CONSTRAINT holds_pkey PRIMARY KEY (service, environment, commit, config_revision, digest)
        )
    """)
