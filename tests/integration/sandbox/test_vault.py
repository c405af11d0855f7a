"""Vault: what the workers may, what they may not, and that a lease leaves nothing behind."""

from collections.abc import Iterator
from typing import Any

import hvac
import psycopg2
import pytest

from slipway_sandbox.part import Part
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.parts.vault import Vault
from slipway_sandbox.run import wait_until

DATABASE, ROLE = "ai_generation", "ai-generation-migrate"


@pytest.fixture
def worker(parts: dict[str, Part]) -> Any:
    vault = parts["vault"]
    assert isinstance(vault, Vault)
    return vault.worker_client()


@pytest.fixture
def postgres(parts: dict[str, Part]) -> Postgres:
    found = parts["postgres"]
    assert isinstance(found, Postgres)
    return found


@pytest.fixture
def admin(postgres: Postgres) -> Iterator[Any]:
    connection = postgres.connect(DATABASE)
    with connection.cursor() as cursor:
        yield cursor
        cursor.execute("DROP TABLE IF EXISTS sandbox_trial, sandbox_trial_own")
    connection.close()


def test_workers_read_the_secrets_that_a_release_needs(worker: Any) -> None:
    for path, keys in {
        "slipway/registry": {"address", "username", "password"},
        "slipway/git": {"username", "password"},
        "services/ai-generation": {"database_url"},
        "services/prompt-library": {"database_url"},
    }.items():
        secret = worker.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True)
        assert set(secret["data"]["data"]) == keys


def test_workers_are_denied_everything_else(worker: Any) -> None:
    kv = worker.secrets.kv.v2
    for forbidden in (
        lambda: kv.read_secret_version("services/another", raise_on_deleted_version=True),
        lambda: kv.create_or_update_secret("services/ai-generation", {"database_url": "x"}),
        lambda: kv.list_secrets("services"),
        lambda: worker.secrets.database.read_connection("ai-generation"),
        lambda: worker.secrets.database.generate_credentials("another-migrate"),
        lambda: worker.sys.list_policies(),
        lambda: worker.auth.approle.generate_secret_id("slipway-worker"),
    ):
        with pytest.raises(hvac.exceptions.Forbidden):
            forbidden()


def test_leased_role_migrates_as_the_owner_and_is_gone_when_given_back(
    worker: Any, postgres: Postgres, admin: Any
) -> None:
    lease = worker.secrets.database.generate_credentials(ROLE)
    host, port = postgres.endpoint()
    name, password = lease["data"]["username"], lease["data"]["password"]
    assert lease["lease_duration"] == 2 * 60  # renewed while a task works
    connection = psycopg2.connect(host=host, port=port, user=name, password=password, dbname=DATABASE)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE sandbox_trial (id serial PRIMARY KEY)")
        cursor.execute("RESET ROLE; CREATE TABLE sandbox_trial_own (id int)")
    worker.sys.revoke_lease(lease["lease_id"])  # while it is still signed in

    def gone() -> str | None:
        admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
        return "the role is there" if admin.fetchone() else None

    wait_until(gone, 10, "the end of the lease")
    admin.execute("SELECT DISTINCT tableowner FROM pg_tables WHERE tablename LIKE 'sandbox_trial%'")
    assert admin.fetchall() == [("ai_generation_owner",)]
    with pytest.raises(psycopg2.OperationalError):
        connection.cursor().execute("SELECT 1")


def test_service_uses_what_a_migration_made_but_changes_no_schema(
    worker: Any, postgres: Postgres, admin: Any
) -> None:
    admin.execute("SET ROLE ai_generation_owner")
    admin.execute("CREATE TABLE sandbox_trial (id serial PRIMARY KEY)")
    admin.execute("RESET ROLE")
    app = psycopg2.connect(postgres.url("ai_generation_app", DATABASE))
    app.autocommit = True
    with app.cursor() as cursor:
        cursor.execute("INSERT INTO sandbox_trial DEFAULT VALUES RETURNING id")
        assert cursor.fetchone() == (1,)
        for statement in ("DROP TABLE sandbox_trial", "CREATE TABLE sandbox_trial_own (id int)"):
            with pytest.raises(psycopg2.errors.InsufficientPrivilege):
                cursor.execute(statement)
    app.close()


def test_one_databases_role_may_not_enter_another(postgres: Postgres) -> None:
    with pytest.raises(psycopg2.OperationalError, match="CONNECT"):
        psycopg2.connect(postgres.url("ledger", DATABASE))
