"""Vault: what the workers read, what they lease, and which refusals a retry may mend."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import hvac
import psycopg2
import pytest

from slipway.adapters import vault
from slipway.errors import Permanent, Transient
from slipway_sandbox.part import Part, Sandbox
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.parts.vault import Vault

ROLE, DATABASE = "ai-generation-migrate", "ai_generation"


@pytest.fixture
def worker(sandbox: Sandbox, parts: dict[str, Part]) -> Any:
    """Gives a client with the workers' AppRole."""
    client = hvac.Client(url=sandbox.vault_address)
    role, secret = (
        (sandbox.layout.credentials / f"vault-worker-{one}-id").read_text().strip()
        for one in ("role", "secret")
    )
    client.auth.approle.login(role_id=role, secret_id=secret)
    return client


@pytest.fixture
def lease(worker: Any) -> Iterator[vault.Lease]:
    """Gives a lease that is ended again."""
    taken = vault.lease_database(worker, ROLE)
    yield taken
    vault.revoke(worker, taken.id)


@pytest.fixture
def role_exists(parts: dict[str, Part]) -> Iterator[Callable[[str], bool]]:
    """Tells whether Postgres has a role of this name that may sign in."""
    postgres = parts["postgres"]
    assert isinstance(postgres, Postgres)
    connection = postgres.connect()

    def exists(name: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", (name,))
            return bool(cursor.fetchall() == [(True,)])

    yield exists
    connection.close()


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("slipway/registry", {"address", "username", "password"}),
        ("slipway/git", {"username", "password"}),
        ("services/ai-generation", {"database_url"}),
        ("services/prompt-library", {"database_url"}),
    ],
)
def test_workers_read_what_a_release_needs(worker: Any, path: str, keys: set[str]) -> None:
    assert set(vault.read(worker, path)) == keys


@pytest.mark.parametrize("path", ["services/another", "slipway/nothing"])
def test_another_path_is_permanent_and_named_with_the_policy(worker: Any, path: str) -> None:
    with pytest.raises(Permanent) as caught:
        vault.read(worker, path)
    denied = f"Vault denies secret/{path} to Slipway's workers: their policy slipway-worker does not allow it"
    assert caught.value.message == denied


def test_a_path_with_nothing_at_it_is_permanent_and_named(parts: dict[str, Part]) -> None:
    administrator = parts["vault"]
    assert isinstance(administrator, Vault)
    with pytest.raises(Permanent, match=r"^Vault has nothing at secret/slipway/nothing\n"):
        vault.read(administrator.client(), "slipway/nothing")


def test_each_writing_is_another_version_and_none_is_told_by_a_hash(parts: dict[str, Part]) -> None:
    administrator, path = parts["vault"], f"services/test-{secrets.token_hex(4)}"
    assert isinstance(administrator, Vault)
    client, seen = administrator.client(), []
    kv = client.secrets.kv.v2
    try:
        for value in ("one", "two", "one"):
            kv.create_or_update_secret(path, {"key": value}, mount_point="secret")
            found, version = vault.read_versioned(client, path)
            assert found == {"key": value}
            assert vault.read_versioned(client, path)[1] == version
            seen.append(version)
        kv.delete_metadata_and_all_versions(path, mount_point="secret")
        kv.create_or_update_secret(path, {"key": "one"}, mount_point="secret")
        seen.append(vault.read_versioned(client, path)[1])
    finally:
        kv.delete_metadata_and_all_versions(path, mount_point="secret")
    assert [one.number for one in seen] == [1, 2, 3, 1]
    assert len({str(one) for one in seen}) == 4


def test_another_services_database_is_permanent_and_named(worker: Any) -> None:
    with pytest.raises(Permanent, match="database/creds/another-migrate"):
        vault.lease_database(worker, "another-migrate")


def test_secrets_are_not_in_a_leases_repr(lease: vault.Lease) -> None:
    assert lease.password not in repr(lease)


def test_leased_login_works_until_it_is_revoked(
    worker: Any, lease: vault.Lease, parts: dict[str, Part], role_exists: Callable[[str], bool]
) -> None:
    postgres = parts["postgres"]
    assert isinstance(postgres, Postgres)
    host, port = postgres.endpoint()
    login = {
        "host": host,
        "port": port,
        "dbname": DATABASE,
        "user": lease.username,
        "password": lease.password,
    }
    assert 0 < lease.seconds <= 15 * 60
    assert role_exists(lease.username)
    connection = psycopg2.connect(**login)
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user, current_user")
        assert cursor.fetchone() == (lease.username, "ai_generation_owner")
    connection.close()
    vault.revoke(worker, lease.id)
    assert not role_exists(lease.username)
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(**login)
    vault.revoke(worker, lease.id)  # a second time: the report's and the deploy's clean-up may both do it


def test_revoking_a_lease_that_never_was_is_fine(worker: Any) -> None:
    vault.revoke(worker, f"database/creds/{ROLE}/neverwas0000000000000000")


def test_vault_that_is_not_there_is_transient() -> None:
    client = hvac.Client(url="http://127.0.0.1:9", token="x", timeout=3)
    for call, names_the_database in (
        (lambda: vault.read(client, "slipway/git"), False),
        (lambda: vault.lease_database(client, ROLE), True),
        (lambda: vault.revoke(client, "database/creds/x/y"), False),
    ):
        with pytest.raises(Transient, match=r"^Vault does not give .*: connection refused\n") as caught:
            call()
        assert "unsealed" in caught.value.remedy
        assert ("database" in caught.value.remedy) == names_the_database
