"""A release, and its first stage, may end `unchanged`: nothing of the service is another than what is deployed."""

from alembic import op

revision = "0014"
down_revision = "0013"

LATER = "'superseded', 'unchanged', 'rejected', 'rolled_back', 'cancelled'"
ALLOWED = {
    ("releases", "status"): f"'running', 'passed', 'failed', 'errored', {LATER}",
    ("stages", "outcome"): f"'passed', 'failed', 'errored', 'skipped', {LATER}",
}


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    for (table, column), values in ALLOWED.items():
        op.execute(f"""
            ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_{column}_check;
            ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_check CHECK ({column} IN ({values}));
        """)
