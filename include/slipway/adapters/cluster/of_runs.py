"""What a release makes for itself in the namespace: Secrets and ConfigMaps of its pods, which own them, and the pods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from slipway.adapters.cluster.refusals import explained

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


def put_secret(
    api: ApiClient,
    namespace: str,
    name: str,
    data: Mapping[str, str],
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] | None = None,
) -> None:
    """Create or replace a Secret."""
    _put(api, "secret", namespace, name, {"stringData": dict(data)}, labels, annotations or {})


def put_config_map(
    api: ApiClient,
    namespace: str,
    name: str,
    binary: Mapping[str, bytes],
    *,
    labels: Mapping[str, str],
    annotations: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Create or replace a ConfigMap of files."""
    import base64

    data = {key: base64.b64encode(value).decode() for key, value in binary.items()}
    _put(api, "config_map", namespace, name, {"binaryData": data}, labels, annotations)


def _put(
    api: ApiClient,
    kind: str,
    namespace: str,
    name: str,
    content: Mapping[str, Any],
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
) -> None:
    from kubernetes.client import CoreV1Api
    from kubernetes.client.exceptions import ApiException

    core = CoreV1Api(api)
    body = {
        **content,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/managed-by": "slipway", **labels},
            "annotations": dict(annotations),
        },
    }
    with explained(f"writing {kind} {namespace}/{name}"):
        try:
            getattr(core, f"create_namespaced_{kind}")(namespace, body)
        except ApiException as e:
            if e.status != 409:
                raise
            getattr(core, f"replace_namespaced_{kind}")(name, namespace, body)


def running_pods(api: ApiClient, namespace: str) -> list[str]:
    """Give the names of the pods that have not ended, sorted."""
    from kubernetes.client import CoreV1Api

    with explained(f"listing the pods of {namespace}"):
        pods = CoreV1Api(api).list_namespaced_pod(namespace).items
    return sorted(one.metadata.name for one in pods if one.status.phase not in ("Succeeded", "Failed"))


def delete(api: ApiClient, kind: str, namespace: str, name: str) -> None:
    """Delete a `secret`, `config_map` or `pod`; none is fine."""
    from kubernetes.client import CoreV1Api
    from kubernetes.client.exceptions import ApiException

    with explained(f"deleting {kind} {namespace}/{name}"):
        try:
            getattr(CoreV1Api(api), f"delete_namespaced_{kind}")(name, namespace)
        except ApiException as e:
            if e.status != 404:
                raise


@dataclass(frozen=True)
class OfRun:
    """An object in the namespace that belongs to one run and goes with it.

    :param kind: ``secret``, ``config_map`` or ``pod``, as for :func:`delete`.
    :param run: the run, if it says so.
    :param lease: Vault's lease of the credentials in it.
    """

    kind: str
    name: str
    created: datetime
    run: str | None = None
    lease: str | None = None


def of_runs(api: ApiClient, namespace: str) -> list[OfRun]:
    """Give the Secrets, ConfigMaps and pods that releases made for themselves."""
    from kubernetes.client import CoreV1Api

    core, found = CoreV1Api(api), []
    with explained(f"listing what runs have made in {namespace}"):
        own = "slipway/purpose=release"
        kept = {
            "secret": core.list_namespaced_secret(namespace, label_selector=own).items,
            "config_map": core.list_namespaced_config_map(namespace, label_selector=own).items,
        }
        pods = core.list_namespaced_pod(namespace, label_selector="kubernetes_pod_operator=True,run_id").items
    for kind, objects in kept.items():
        for one in objects:
            notes = one.metadata.annotations or {}
            if one.metadata.name.startswith("slipway-"):  # not the service's own Secret
                run, lease = notes.get("slipway/run"), notes.get("slipway/lease")
                found.append(OfRun(kind, one.metadata.name, one.metadata.creation_timestamp, run, lease))
    found += [
        OfRun("pod", one.metadata.name, one.metadata.creation_timestamp, one.metadata.labels["run_id"])
        for one in pods
        # a Deployment's pods have the labels that its manifest gives them; a run's own belong to nobody
        if not one.metadata.owner_references
    ]
    return found


@dataclass(frozen=True)
class Kept:
    """A Secret that is there: its annotations, and whether the pod that owns it goes on."""

    annotations: Mapping[str, str]
    is_used: bool


def kept(api: ApiClient, namespace: str, name: str) -> Kept | None:
    """Give a Secret of a task and whether its pod goes on; None if there is no such Secret."""
    from kubernetes.client import CoreV1Api
    from kubernetes.client.exceptions import ApiException

    core = CoreV1Api(api)
    with explained(f"reading secret {namespace}/{name}"):
        try:
            seen = core.read_namespaced_secret(name, namespace).metadata
        except ApiException as e:
            if e.status == 404:
                return None
            raise
    used = False
    for owner in seen.owner_references or []:
        with explained(f"reading pod {namespace}/{owner.name}"):
            try:
                pod = core.read_namespaced_pod(owner.name, namespace)
            except ApiException as e:
                if e.status != 404:
                    raise
                continue
        going = pod.metadata.deletion_timestamp is None and pod.status.phase in ("Pending", "Running")
        used = used or (pod.metadata.uid == owner.uid and going)
    return Kept(seen.annotations or {}, used)


def own(api: ApiClient, kind: str, namespace: str, name: str, pod: Any) -> None:
    """Make ``pod`` the owner of a `secret` or `config_map`: the cluster removes it with the pod."""
    from kubernetes.client import CoreV1Api

    owner = {"apiVersion": "v1", "kind": "Pod", "name": pod.metadata.name, "uid": pod.metadata.uid}
    with explained(f"giving {kind} {namespace}/{name} to pod {pod.metadata.name}"):
        getattr(CoreV1Api(api), f"patch_namespaced_{kind}")(
            name, namespace, {"metadata": {"ownerReferences": [owner]}}
        )
