"""How often a lane was taken: who asked before whether anything changed in it since."""

from alembic import op

revision = "0013"
down_revision = "0011"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    op.execute("""
        CREATE TABLE lane_turns (
            service varchar NOT NULL,
            environment varchar NOT NULL,
            turn bigint NOT NULL,
            PRIMARY KEY (service, environment)
        );
    """)
