"""Vault: short leases of database credentials, read with the client that the provider's VaultHook signed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slipway.errors import Permanent, Transient
from slipway.unreachable import why

if TYPE_CHECKING:
    import hvac


@dataclass(frozen=True)
class Lease:
    """Database credentials and the lease that ends them. The secrets are kept out of its repr."""

    id: str
    seconds: int
    username: str = field(repr=False)
    password: str = field(repr=False)


def said(error: Exception) -> str:
    """Give Vault's own words of an error, in one line; why it does not answer, if it has none."""
    lines = (
        line.strip(" \t*") for one in getattr(error, "errors", None) or [] for line in str(one).splitlines()
    )
    return "; ".join(line for line in lines if line and "error occurred" not in line) or why(error)


@contextmanager
def _explained(path: str, client: hvac.Client) -> Iterator[None]:
    import hvac.exceptions
    import requests

    try:
        yield
    except hvac.exceptions.Forbidden as e:
        raise Permanent(
            f"Vault denies {path} to Slipway's workers: their policy {_policies(client)} does not allow it",
            code="vault.path-denied",
            remedy="add the path to the policy (docs/security.md lists what the workers need), then clear the task",
        ) from e
    except hvac.exceptions.InvalidPath as e:
        raise Permanent(
            f"Vault has nothing at {path}",
            code="vault.path-empty",
            remedy="write it there, then clear the task",
        ) from e
    except (hvac.exceptions.VaultError, requests.RequestException) as e:
        raise Transient(
            f"Vault does not give {path}: {said(e)}",
            code="vault.failed",
            remedy=(
                "see that Vault answers and is unsealed (`bao status`)"
                # the engine makes a login there at that moment
                + (", and that the database takes connections" if path.startswith("database/") else "")
            ),
        ) from e


@contextmanager
def signing_in() -> Iterator[None]:
    """Raise our errors in place of the client's, where it signs in as an AppRole.

    :raises Transient: if Vault does not answer or is sealed.
    :raises Permanent: if it refuses the AppRole.
    """
    import hvac.exceptions
    import requests

    try:
        yield
    except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as e:
        raise Permanent(
            f"Vault refuses the workers' AppRole (auth/approle/login): {said(e)}",
            code="vault.approle-refused",
            remedy="correct role id and secret id in connection slipway_vault",
        ) from e
    except (hvac.exceptions.VaultError, requests.RequestException) as e:
        raise Transient(
            f"Vault does not let the workers sign in (auth/approle/login): {said(e)}",
            code="vault.sign-in-failed",
            remedy="see that Vault answers and is unsealed (`bao status`)",
        ) from e


def signed_in(url: str, role_id: str, secret_id: str, *, verify: bool | str = True) -> hvac.Client:
    """Give a client that is signed in as an AppRole.

    :param verify: whether Vault's certificate is checked; or a file with the authorities that count.
    :raises SlipwayError: as :func:`signing_in` does.
    """
    import hvac

    with signing_in():
        client = hvac.Client(url=url, verify=verify, timeout=10)
        client.auth.approle.login(role_id=role_id, secret_id=secret_id)
    return client


def _policies(client: hvac.Client) -> str:
    """Give the names of the policies that the client's token has."""
    import hvac.exceptions
    import requests

    try:
        return ", ".join(client.auth.token.lookup_self()["data"]["policies"])
    except (hvac.exceptions.VaultError, requests.RequestException):
        return "slipway-worker"


@dataclass(frozen=True)
class Version:
    """Which version of a kv v2 secret something is made of: no secret, other than any hash of its values.

    :param created: when it was written, as Vault says it: numbers begin anew when a secret is destroyed and made again.
    """

    number: int
    created: str

    def __str__(self) -> str:
        return f"version {self.number} of {self.created}"


def read(client: hvac.Client, path: str) -> dict[str, Any]:
    """Give the newest version of the kv v2 secret ``secret/<path>``."""
    return read_versioned(client, path)[0]


def read_versioned(client: hvac.Client, path: str) -> tuple[dict[str, Any], Version]:
    """Give the newest version of the kv v2 secret ``secret/<path>``, and which it is."""
    with _explained(f"secret/{path}", client):
        secret = client.secrets.kv.v2.read_secret_version(
            path, mount_point="secret", raise_on_deleted_version=True
        )
    data: dict[str, Any] = secret["data"]["data"]
    about = secret["data"]["metadata"]
    return data, Version(int(about["version"]), str(about["created_time"]))


def write(client: hvac.Client, path: str, data: Mapping[str, str], *, after: int) -> None:
    """Write a version of the kv v2 secret ``secret/<path>``.

    :param after: the number of the version that it replaces, 0 for none: two who write at once do not lose one.
    """
    with _explained(f"secret/{path}", client):
        client.secrets.kv.v2.create_or_update_secret(path, dict(data), cas=after, mount_point="secret")


def lease_database(client: hvac.Client, role: str) -> Lease:
    """Take fresh credentials of the database engine's ``role``; they end with the lease."""
    with _explained(f"database/creds/{role}", client):
        answer = client.secrets.database.generate_credentials(role, mount_point="database")
    return Lease(
        answer["lease_id"], answer["lease_duration"], answer["data"]["username"], answer["data"]["password"]
    )


def renew(client: hvac.Client, lease_id: str) -> int | None:
    """Renew a lease and the client's own token, on which it hangs; give its seconds, or None if it has ended."""
    import hvac.exceptions

    with _explained("sys/leases/renew", client):
        try:
            client.auth.token.renew_self()
            return int(client.sys.renew_lease(lease_id)["lease_duration"])
        except hvac.exceptions.InvalidRequest as e:
            if "lease" not in str(e):
                raise
            return None


def revoke(client: hvac.Client, lease_id: str) -> None:
    """End a lease at once; one that has ended already is fine."""
    import hvac.exceptions

    with _explained("sys/leases/revoke", client):
        try:
            client.sys.revoke_lease(lease_id)
        except hvac.exceptions.InvalidRequest as e:
            # "invalid lease": it ran out, or an earlier attempt revoked it
            if "lease" not in str(e):
                raise
