"""Check out the commit into a volume named after its tree, and fetch what its lock files name into one named after them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from slipway.adapters import engine
from slipway.errors import PolicyFailed
from slipway.stages import connections, links
from slipway.stages.container import ContainerOperator, toolbox
from slipway.stages.outcome import stage

if TYPE_CHECKING:
    from slipway.catalog import Service

LABELS = {"slipway": "workspace"}


def workspace(service: Service, hash_: str, images: Mapping[str, str]) -> dict[str, Any]:
    """Fill the volume of a commit's sources, make that of its dependencies if need be, and give what is in them.

    :param images: the toolboxes, by name.
    :raises PolicyFailed: if the commit or one of the lock files is not there.
    """
    locks, repository = service.source.dependencies, connections.repository(service.source)
    commit = repository.commit(hash_)
    key = hashlib.sha256(images["toolbox-python"].encode())
    for lock in (locks.runtime, locks.development):
        content = repository.files(commit.hash, lock).get(lock)
        if content is None:
            raise PolicyFailed(
                f"{lock} is not in the repository", remedy="commit the lock file that the catalog names"
            )
        key.update(content + b"\0")
    image, client = images["toolbox-python"], connections.engine_hook().api_client
    engine.ensure_image(client, image)
    volume, dependencies = f"slipway-src-{commit.tree[:20]}", f"slipway-deps-{key.hexdigest()[:20]}"
    ledger = connections.ledger()
    # two releases may be of the same tree, or of the same lock files
    with ledger.exclusive(volume, 240), repository.archive(commit.hash, prefix="src/") as tar:
        fresh = engine.fill_volume(client, image, volume, "/workspace", tar)
    with ledger.exclusive(dependencies, 240):
        if not engine.has_file(client, image, dependencies, "/deps", ".complete"):
            engine.prepare_volume(client, image, dependencies, "/deps", LABELS)
    print(f"{commit.hash} by {commit.author}: {commit.subject}")
    print(f"tree {commit.tree} in volume {volume} ({'filled now' if fresh else 'there already'})")
    return {
        "tree": commit.tree,
        "time": commit.time,
        "subject": commit.subject,
        "volume": volume,
        "dependencies": dependencies,
    }


def checkout(service: Service, accepted: Any) -> Any:
    """Give the task that fills the source volume with the commit that was ``accepted``."""

    @stage(task_id="checkout", task_display_name="Check out the commit")
    def checkout(accepted: dict[str, Any]) -> dict[str, Any]:
        found = workspace(service, accepted["commit"], accepted["images"])
        connections.ledger().update(get_current_context()["dag_run"].run_id, tree=found["tree"])
        return found

    made = checkout(accepted)
    made.operator.operator_extra_links = (links.CommitLink(), links.ReleaseLink())
    return made


def dependencies(service: Service) -> ContainerOperator:
    """Give the only task of a release whose container has a network: it fetches wheels, and runs no pushed code."""
    locks = service.source.dependencies
    return ContainerOperator(
        task_id="dependencies",
        task_display_name="Fetch dependencies",
        image=toolbox("toolbox-python"),
        command=["/opt/slipway/bin/fetch-dependencies", locks.runtime, locks.development],
        timeout_s=600,
        fetches=True,
    )
