import subprocess
import sys
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

import slipway.ledger
from slipway.errors import Permanent
from slipway.ledger import Ledger, Release, Stage
from slipway.release import Outcome, Status


@pytest.mark.parametrize("url", ["", "ledger", "postgresql://a:hunter2@h:port/x", "sqlite:///hunter2.db"])
def test_url_that_is_no_postgres_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(Permanent) as caught:
        Ledger(url)
    assert "hunter2" not in str(caught.value)


def test_where_a_ledger_is_can_be_told_without_its_password() -> None:
    ledger = Ledger("postgresql://ledger:hunter2@db.test:15432/ledger")
    assert ledger.where == "db.test:15432/ledger"
    assert "hunter2" not in repr(ledger.engine)


def test_importing_the_ledger_for_its_names_imports_no_database_library() -> None:
    code = "import slipway.ledger, sys; sys.exit('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"
    path = {"PYTHONPATH": str(Path(slipway.ledger.__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=20, env=path).returncode == 0


def test_running_release_is_shown_without_an_end() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    known = {"run_id": "svc.aaaaaaaaaaaa", "service": "svc", "environment": "staging", "commit": "a" * 40}
    blank = (
        {field.name: None for field in fields(Release)} | known | {"ref": "refs/heads/main", "attempts": 1}
    )
    stage = Stage("unit", Outcome.FAILED, 1.23456, "1 failed", start)
    release = Release(**{**blank, "status": Status.RUNNING, "started_at": start, "stages": (stage,)})  # type: ignore
    shown = release.show()
    assert (shown["status"], shown["finished_at"], shown["digest"]) == ("running", None, None)
    assert shown["started_at"] == "2026-01-01T00:00:00+00:00"
    assert shown["stages"] == [
        {"name": "unit", "outcome": "failed", "seconds": 1.235, "code": None, "reason": "1 failed"}
    ]
