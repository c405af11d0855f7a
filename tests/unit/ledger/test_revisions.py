"""The ledger's migrations are one line: two that follow the same one could not both be applied."""

from pathlib import Path

from alembic.script import ScriptDirectory

import slipway.ledger


def test_migrations_have_one_newest_and_follow_one_another() -> None:
    scripts = ScriptDirectory(str(Path(slipway.ledger.__file__).parent / "migrations"))
    revisions = list(scripts.walk_revisions())
    assert len(scripts.get_heads()) == 1
    assert [one.down_revision for one in revisions] == [*(one.revision for one in revisions[1:]), None]
