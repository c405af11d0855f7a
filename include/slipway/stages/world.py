"""What a stage may ask and change, as one typed object: :class:`World`. A unit test gives it another one.

The real one is :class:`slipway.stages.connections.Outside`. The protocols of the cluster and the engine have the functions of
their adapters that stages use, without the client that these take first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import ModuleType
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from slipway.adapters.cluster import Difference, Item, OfRun, Rollout, Stale
    from slipway.adapters.engine import Made, Place, Recipe, Stored
    from slipway.adapters.forges import Statuses
    from slipway.adapters.git import Repository
    from slipway.adapters.registry import Registry
    from slipway.catalog import Platform
    from slipway.catalog.service import Cloned, Source
    from slipway.ledger import Ledger


class Cluster(Protocol):
    """The cluster of an environment; see :mod:`slipway.adapters.cluster`."""

    def difference(
        self, manifests: Iterable[Mapping[str, Any]], *, force: bool = False
    ) -> list[Difference]: ...

    def apply(self, manifests: Iterable[Mapping[str, Any]], *, force: bool = False) -> list[str]: ...

    def prunable(
        self,
        namespace: str,
        inventory: Iterable[Item],
        keep: Iterable[Item],
        *,
        service: str,
        kinds: Iterable[str],
    ) -> list[Stale]: ...

    def prune(
        self,
        namespace: str,
        inventory: Iterable[Item],
        keep: Iterable[Item],
        *,
        service: str,
        kinds: Iterable[str],
    ) -> list[str]: ...

    def rollout(self, namespace: str, deployment: str, digest: str, *, timeout_s: float) -> Rollout: ...

    def get(self, namespace: str, service: str, port: int, path: str) -> tuple[int, bytes]: ...

    def put_secret(
        self,
        namespace: str,
        name: str,
        data: Mapping[str, str],
        *,
        labels: Mapping[str, str],
        annotations: Mapping[str, str] | None = None,
    ) -> None: ...

    def of_runs(self, namespace: str) -> list[OfRun]: ...

    def delete(self, kind: str, namespace: str, name: str) -> None: ...


class Engine(Protocol):
    """The container engine; see :mod:`slipway.adapters.engine`."""

    def ensure_image(self, ref: str, username: str | None = None, password: str | None = None) -> None: ...

    def has_file(self, image: str, volume: str, target: str, name: str) -> bool: ...

    def fill_volume(self, image: str, volume: str, target: str, tar: IO[bytes]) -> bool: ...

    def prepare_volume(self, image: str, volume: str, target: str, labels: Mapping[str, str]) -> None: ...

    def archive(self, image: str, volume: str, target: str, folder: str) -> Iterator[bytes]: ...

    def build(
        self,
        place: Place,
        context: IO[bytes],
        recipe: Recipe,
        *,
        folders: Mapping[str, Iterator[bytes]],
        log: Callable[[str], None],
    ) -> Made: ...

    def network(self, name: str, labels: Mapping[str, str]) -> None: ...

    def package_network(
        self, name: str, proxy: str, aliases: Sequence[str], labels: Mapping[str, str]
    ) -> None: ...

    def networks_of(self, name: str) -> list[dict[str, Any]]: ...

    def remove_network(self, name: str) -> None: ...

    def remove_container(self, name: str) -> None: ...

    def remove_volume(self, name: str) -> None: ...

    def start(self, name: str, image: str, **options: Any) -> None: ...

    def wait_until(self, name: str, probe: Sequence[str], timeout_s: float) -> None: ...

    def wait_exit(self, name: str, timeout_s: float) -> int: ...

    def log_tail(self, name: str, lines: int = 15) -> list[str]: ...

    def of_runs(self) -> list[Stored]: ...

    def stored(self) -> list[Stored]: ...

    def remove(self, thing: Stored) -> bool: ...

    def prune_builds(self, days: int) -> tuple[int, int]: ...


class Runs(Protocol):
    """What Airflow tells of runs, its own and others."""

    def state(self, dag_id: str, run_id: str) -> str: ...

    def task_states(self, dag_id: str, run_id: str) -> Mapping[str, str]: ...

    def count(
        self, dag_id: str, *, run_ids: list[str] | None = None, states: list[str] | None = None
    ) -> int: ...

    def is_paused(self, dag_id: str) -> bool: ...


class World(Protocol):
    """The outside systems, and the clocks."""

    def platform(self) -> Platform: ...

    def ledger(self) -> Ledger: ...

    def cluster(self) -> Cluster: ...

    def engine(self) -> Engine: ...

    def registry(self) -> tuple[Registry, dict[str, Any]]: ...

    def repository(self, cloned: Cloned) -> Repository: ...

    def statuses(self, source: Source) -> Statuses: ...

    def secret_versioned(self, path: str) -> tuple[dict[str, Any], str]: ...

    def revoke(self, lease: str) -> None: ...

    def now(self) -> datetime: ...

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float) -> None: ...


def bound(client: Any) -> Engine:
    """Give the engine of a client of Docker's."""
    from slipway.adapters import engine

    return cast("Engine", Bound(engine, client))


class Bound:
    """The functions of an adapter, each with the client that it takes first."""

    def __init__(self, adapter: ModuleType, client: Any) -> None:
        self._adapter, self._client = adapter, client

    def __getattr__(self, name: str) -> Any:
        return partial(getattr(self._adapter, name), self._client)
