"""The ledger's migrations are one chain: branches that were written side by side leave the second one's to be put behind."""

from __future__ import annotations

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import slipway.ledger


def test_migrations_have_one_head_and_one_root() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(slipway.ledger.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert (len(scripts.get_heads()), len(scripts.get_bases())) == (1, 1)
