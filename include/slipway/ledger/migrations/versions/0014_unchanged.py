"""A release, and its first stage, may end `unchanged`: nothing of the service is another than what is deployed."""

from alembic import op

revision = "0014"
down_revision = "0013"

ENDS = "'passed', 'failed', 'errored', 'superseded', 'unchanged', 'rejected', 'rolled_back', 'cancelled'"


def upgrade() -> None:
    """Plain SQL: what a migration did must not change when the models do."""
    for table, column, more in (("releases", "status", "running"), ("stages", "outcome", "skipped")):
        op.execute(f"""
            ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {table}_{column}_check;
            ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_check CHECK ({column} IN ('{more}', {ENDS}));
        """)
