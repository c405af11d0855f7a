"""Credentials of a task's own pod: leased for it, renewed while it works, given back however it ends.

They reach the pod as files from a Secret that the pod owns. After ``kill -9`` nobody gives them back: then the next try of
the task does, or the nightly refresh; if neither comes, the lease ends by itself, which takes two minutes on the sandbox.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk.log import mask_secret

from slipway.adapters import cluster, vault
from slipway.errors import SlipwayError
from slipway.stages import connections

if TYPE_CHECKING:
    import hvac
    from kubernetes.client import ApiClient

LEASE, RUN = "slipway/lease", "slipway/run"
DATABASE = "database.json"
"""The file that holds the credentials: host, port, database, username, password."""


@contextmanager
def held(
    api: ApiClient,
    namespace: str,
    name: str,
    *,
    run_id: str,
    labels: Mapping[str, str],
    files: Callable[[], Mapping[str, str]] | None,
    role: str | None,
    database: str | None,
) -> Iterator[None]:
    """Keep the Secret ``name`` while the body runs, with what ``files`` gives and credentials of Vault's ``role``.

    A pod of an earlier try that goes on keeps its Secret and its lease, which is renewed; else both are made anew.

    :param role: role of Vault's database engine; None leases nothing.
    """
    client = connections.vault_client()
    with ExitStack() as given_back:
        lease = _of_earlier_try(api, client, namespace, name)
        if lease is None:
            content = dict(files() if files else {})
            annotations = {RUN: run_id}
            if role:
                taken = vault.lease_database(client, role)
                mask_secret(taken.password)
                given_back.callback(as_far_as_possible, vault.revoke, client, taken.id)
                lease, annotations[LEASE] = taken.id, taken.id
                where = connections.platform().database
                content[DATABASE] = json.dumps(
                    {
                        "host": where.host,
                        "port": where.port,
                        "database": database,
                        "username": taken.username,
                        "password": taken.password,
                    }
                )
                print(f"leased {role} for {taken.seconds} s, renewed while this task works")
            given_back.callback(as_far_as_possible, cluster.delete, api, "secret", namespace, name)
            cluster.put_secret(api, namespace, name, content, labels=labels, annotations=annotations)
        else:
            given_back.callback(as_far_as_possible, vault.revoke, client, lease)
            given_back.callback(as_far_as_possible, cluster.delete, api, "secret", namespace, name)
        if lease:
            given_back.enter_context(_renewed(client, lease))
        yield


def _of_earlier_try(api: ApiClient, client: hvac.Client, namespace: str, name: str) -> str | None:
    """Give the lease of a pod that goes on though its task was killed; revoke that of one that does not."""
    found = cluster.kept(api, namespace, name)
    if found is None:
        return None
    lease = found.annotations.get(LEASE)
    if lease and found.is_used and vault.renew(client, lease):
        print("the pod of an earlier try goes on, and so does its lease")
        return lease
    if lease:
        vault.revoke(client, lease)
        print("the lease of an earlier try is revoked")
    cluster.delete(api, "secret", namespace, name)
    return None


@contextmanager
def _renewed(client: hvac.Client, lease: str) -> Iterator[None]:
    ended = threading.Event()

    def renew() -> None:
        wait_s = 20.0
        while not ended.wait(wait_s):
            try:
                seconds = vault.renew(client, lease)
            except SlipwayError as e:
                # the session that is open goes on without it; a new one would be refused
                print(f"the lease is not renewed: {e.message}")
                wait_s = 5.0
                continue
            if seconds is None:
                print("the lease has ended")
                return
            wait_s = max(5.0, seconds / 3)

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=15)


def as_far_as_possible(act: Callable[..., Any], *arguments: Any) -> None:
    """Give back what was taken; that this fails matters less than how the task ended: a lease ends by itself."""
    try:
        act(*arguments)
    except SlipwayError as e:
        print(f"not given back now: {e.message}")
