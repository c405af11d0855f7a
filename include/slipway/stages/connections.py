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
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from airflow.sdk import BaseHook
from airflow.sdk.log import mask_secret

from slipway.adapters import cluster as cluster_
from slipway.adapters import forges, vault
from slipway.adapters.git import Repository
from slipway.adapters.registry import Registry
from slipway.catalog import Platform, load_platform
from slipway.errors import Permanent
from slipway.stages.world import Bound, bound

if TYPE_CHECKING:
    import hvac
    from airflow.providers.docker.hooks.docker import DockerHook
    from kubernetes.client import ApiClient

    from slipway.adapters.forges import Statuses
    from slipway.catalog.service import Cloned, Source
    from slipway.ledger import Ledger
    from slipway.stages.world import Cluster, Engine

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
    from airflow.providers.hashicorp.hooks.vault import VaultHook

    with vault.signing_in():
        return VaultHook(vault_conn_id=VAULT).get_conn()


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
        cloned.url(platform().git.url),
        account["username"],
        account["password"],
        home / "slipway" / "mirrors",
        cloned.folder,
    )


def statuses(source: Source) -> Statuses:
    """Give the statuses of a service's commits at its forge, which the catalog must name."""
    assert source.forge is not None
    token = secret(f"slipway/forges/{source.forge.host}")["token"]
    path = source.forge.path(source.url(platform().git.url))
    return forges.statuses(source.forge.kind, source.forge.url, path, token)


def registry() -> tuple[Registry, dict[str, Any]]:
    """Give the registry and the account that may push to it."""
    account, where = secret("slipway/registry"), platform().registry
    ca_file = Path(where.ca_file) if where.ca_file else None
    return Registry(
        where.address, account["username"], account["password"], ca_file, where.image_platform
    ), account


def engine_hook() -> DockerHook:
    """Give the provider's hook to the engine; it signs in to the registry with the pull account."""
    from slipway.stages.engine_hook import EngineHook

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
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

    client: ApiClient = KubernetesHook(conn_id=cluster_id(environment)).get_conn()
    return client


@cache
def ledger() -> Ledger:
    """Give the ledger; its connection is looked up once in each process."""
    from slipway.ledger import Ledger

    connection = BaseHook.get_connection(LEDGER)
    if connection.password:
        mask_secret(connection.password)
    return Ledger(connection.get_uri().replace("postgres://", "postgresql://", 1).split("?", 1)[0])


class Outside:
    """The real world of a task: see :class:`slipway.stages.world.World`."""

    platform = staticmethod(platform)
    ledger = staticmethod(ledger)
    registry = staticmethod(registry)
    repository = staticmethod(repository)
    statuses = staticmethod(statuses)
    secret_versioned = staticmethod(secret_versioned)
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    def cluster(self) -> Cluster:
        """Give the environment's cluster."""
        return cast("Cluster", Bound(cluster_, cluster()))

    def engine(self) -> Engine:
        """Give the container engine, signed in to the registry."""
        return bound(engine_hook().api_client)

    def revoke(self, lease: str) -> None:
        """Give a lease of Vault back."""
        vault.revoke(vault_client(), lease)

    def now(self) -> datetime:
        """Give the time, in UTC."""
        return datetime.now(UTC)


class AirflowRuns:
    """What Airflow tells a task of runs: see :class:`slipway.stages.world.Runs`.

    :param ti: the running task instance, by which it is asked.
    """

    def __init__(self, ti: Any) -> None:
        self._ti = ti

    def state(self, dag_id: str, run_id: str) -> str:
        """Give the state of a run."""
        return str(getattr(found := self._ti.get_dagrun_state(dag_id, run_id), "value", found))

    def task_states(self, dag_id: str, run_id: str) -> Mapping[str, str]:
        """Give the states of a run's tasks, by id; those that have none yet are left out."""
        found = self._ti.get_task_states(dag_id=dag_id, run_ids=[run_id]).get(run_id, {})
        return {name: str(getattr(state, "value", state)) for name, state in found.items() if state}

    def count(self, dag_id: str, *, run_ids: list[str] | None = None, states: list[str] | None = None) -> int:
        """Give how many runs of a DAG there are, of these ids or in these states."""
        asked: dict[str, Any] = {"dag_id": dag_id, "run_ids": run_ids, "states": states}
        return int(self._ti.get_dr_count(**{key: value for key, value in asked.items() if value is not None}))

    def is_paused(self, dag_id: str) -> bool:
        """Tell whether a DAG is paused."""
        return bool(self._ti.get_dag(dag_id).is_paused)
