"""How often a lane was taken: who asked before whether anything changed in it since."""

from alembic import op

revision = "0013"
down_revision = "0015"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        CREATE TABLE IF NOT EXISTS lane_turns (
            service text NOT NULL,
            environment text NOT NULL,
            turn bigint NOT NULL,
            CONSTRAINT lane_turns_pkey PRIMARY KEY (service, environment)
        );
    """)
