"""The outside systems of a task, as Airflow's connections and the platform name them; their secrets come from Vault.

======================== ============ =========================================================================
connection               type         holds
======================== ============ =========================================================================
slipway_engine           docker       registry host and pull account; extra ``docker_url``: the engine
slipway_cluster_<env>    kubernetes   extra ``kube_config_path`` (or any other way the provider knows)
slipway_vault            vault        the workers' AppRole: login is the role id, password the secret id
slipway_ledger           postgres     the ledger's database
======================== ============ =========================================================================
"""

from __future__ import annotations

import os
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook
from airflow.providers.docker.hooks.docker import DockerHook
from airflow.providers.hashicorp.hooks.vault import VaultHook
from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from slipway.adapters import engine, vault
from slipway.adapters.git import Repository
from slipway.adapters.registry import Registry
from slipway.catalog import Platform, load_platform
from slipway.errors import Permanent, Transient
from slipway.ledger import Ledger

if TYPE_CHECKING:
    import hvac
    from kubernetes.client import ApiClient

    from slipway.catalog.service import Cloned

ENGINE, VAULT, LEDGER = "slipway_engine", "slipway_vault", "slipway_ledger"


def cluster_id(environment: str = "staging") -> str:
    """Give the id of the connection to an environment's cluster."""
    return f"slipway_cluster_{environment}"


def platform() -> Platform:
    """Give the platform that SLIPWAY_PLATFORM describes."""
    return load_platform()


def vault_client() -> hvac.Client:
    """Give a client of Vault, signed in as the workers' AppRole by the provider's hook.

    :raises Transient: if Vault does not answer or is sealed.
    :raises Permanent: if it refuses the AppRole.
    """
    import hvac.exceptions
    import requests

    try:
        return VaultHook(vault_conn_id=VAULT).get_conn()
    except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as e:
        raise Permanent(
            f"Vault refuses the workers' AppRole (auth/approle/login): {vault.said(e)}",
            code="vault.approle-refused",
            remedy=f"correct role id and secret id in connection {VAULT}",
        ) from e
    except (hvac.exceptions.VaultError, requests.RequestException) as e:
        raise Transient(
            f"Vault does not let the workers sign in (auth/approle/login): {vault.said(e)}",
            code="vault.sign-in-failed",
            remedy="see that Vault answers and is unsealed (`bao status`)",
        ) from e


def secret(path: str) -> dict[str, Any]:
    """Give a secret of Vault's kv engine, all its values masked in the task's log from now on."""
    return secret_versioned(path)[0]


def secret_versioned(path: str) -> tuple[dict[str, Any], str]:
    """Give a secret as :func:`secret` does, and which version of it that is, in words that are no secret."""
    found, version = vault.read_versioned(vault_client(), path)
    for key, value in found.items():
        if key not in ("username", "address"):
            mask_secret(value)
    return found, str(version)


def repository(cloned: Cloned) -> Repository:
    """Give a repository of the catalog, with Slipway's own account."""
    account = secret("slipway/git")
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return Repository(
        cloned.url(platform().git.url), account["username"], account["password"], home / "slipway" / "mirrors"
    )


def registry() -> tuple[Registry, dict[str, Any]]:
    """Give the registry and the account that may push to it."""
    account, where = secret("slipway/registry"), platform().registry
    ca_file = Path(where.ca_file) if where.ca_file else None
    return Registry(
        where.address, account["username"], account["password"], ca_file, where.image_platform
    ), account


class EngineHook(DockerHook):
    """The provider's hook, which says why there is no connection."""

    @cached_property
    def api_client(self) -> Any:
        """Give the client, signed in to the registry.

        :raises Transient: if engine or registry do not answer.
        """
        import docker

        with engine.explained("signing in to the registry"):
            # the provider's hook tells its log alone why an engine does not answer
            docker.APIClient(base_url=engine_url(), version="auto", timeout=30).close()
            return super().api_client


def engine_hook() -> DockerHook:
    """Give the provider's hook to the engine; it signs in to the registry with the pull account."""
    connection = BaseHook.get_connection(ENGINE)
    url = engine_url()
    if connection.password:
        mask_secret(connection.password)
    return EngineHook(docker_conn_id=ENGINE, base_url=url, version="auto", timeout=300)


def engine_url() -> str:
    """Give the engine's address, as DOCKER_HOST is written.

    :raises Permanent: if the connection does not name it.
    """
    url: str | None = BaseHook.get_connection(ENGINE).extra_dejson.get("docker_url")
    if not url:
        raise Permanent(
            f"connection {ENGINE} names no engine",
            code="engine.not-named",
            remedy='put {"docker_url": "unix://…"} into its extra',
        )
    return url


def cluster(environment: str = "staging") -> ApiClient:
    """Give a client of the environment's cluster, from the provider's hook."""
    client: ApiClient = KubernetesHook(conn_id=cluster_id(environment)).get_conn()
    return client


@cache
def ledger() -> Ledger:
    """Give the ledger; its connection is looked up once in each process."""
    connection = BaseHook.get_connection(LEDGER)
    if connection.password:
        mask_secret(connection.password)
    return Ledger(connection.get_uri().replace("postgres://", "postgresql://", 1).split("?", 1)[0])
