"""The Kubernetes cluster: server-side apply, the truth about a rollout, short-lived Secrets, requests through the API server."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.errors import Permanent, PolicyFailed, Transient

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

FIELD_MANAGER = "slipway"


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the client's errors into ours: refused objects (policy), refused rights (permanent), anything else (transient)."""
    import urllib3.exceptions
    from kubernetes.client.exceptions import ApiException
    from kubernetes.dynamic.exceptions import DynamicApiError, ResourceNotFoundError

    try:
        yield
    except ResourceNotFoundError as e:
        raise PolicyFailed(
            f"{what}: {e}", remedy="correct apiVersion and kind in the config repository"
        ) from e
    except (ApiException, DynamicApiError) as e:
        status = getattr(e, "status", None)
        try:
            said = json.loads(e.body)["message"]
        except (TypeError, ValueError, KeyError):
            said = str(e.reason)
        if status in (400, 409, 422) or (
            status == 403 and ("quota" in said or "violates" in said or "denied" in said)
        ):
            raise PolicyFailed(
                f"{what}: {said}", remedy="correct the manifests in the config repository"
            ) from e
        if status in (401, 403):
            raise Permanent(f"{what}: {said}", remedy="see the Role of Slipway's service account") from e
        raise Transient(f"{what}: {status}: {said}", remedy="see that the API server answers") from e
    except (urllib3.exceptions.HTTPError, OSError) as e:
        raise Transient(f"{what}: the API server does not answer: {e}") from e


def apply(api: ApiClient, manifests: Iterable[Mapping[str, Any]], *, force: bool = False) -> list[str]:
    """Apply objects under our field manager; give `Kind/name: unchanged|changed` for each.

    :param force: take fields that another field manager owns, which undoes its change.
    :raises PolicyFailed: if the API server refuses one, or (without ``force``) another field manager owns a field:
        named in the message.
    """
    changes = []
    for title, resource, manifest in _resources(api, manifests):
        with explained(f"applying {title}"):
            before = _live(resource, manifest)
            after = _applied(resource, manifest, force=force).metadata.resourceVersion
        same = before is not None and before.metadata.resourceVersion == after
        changes.append(f"{title}: {'created' if before is None else 'unchanged' if same else 'changed'}")
    return changes


@dataclass(frozen=True)
class Difference:
    """What applying an object would change.

    :param title: ``Kind/name``.
    :param lines: a unified diff, as YAML, from what is live to what it would be; none if nothing would change.
    :param owners: fields of the manifest that others have changed, each with the field manager that did.
    """

    title: str
    lines: tuple[str, ...]
    owners: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lines or self.owners)


def difference(
    api: ApiClient, manifests: Iterable[Mapping[str, Any]], *, force: bool = False
) -> list[Difference]:
    """Give for each object what :func:`apply` would change, by a dry run in the API server: nothing is changed.

    :param force: whether fields of another field manager are differences, rather than refused.
    :raises PolicyFailed: if the API server refuses an object, as :func:`apply` does.
    """
    from kubernetes.dynamic.exceptions import ConflictError

    found = []
    for title, resource, manifest in _resources(api, manifests):
        with explained(f"comparing {title}"):
            live = _live(resource, manifest)
            owners: tuple[str, ...] = ()
            try:
                wanted = _applied(resource, manifest, dry_run="All")
            except ConflictError as e:
                if not force:
                    raise
                owners = _owners(e)
                wanted = _applied(resource, manifest, force=True, dry_run="All")
        before, after = (_plain(one.to_dict()) if one is not None else [] for one in (live, wanted))
        lines = difflib.unified_diff(before, after, f"{title} (live)", f"{title} (released)", lineterm="")
        found.append(Difference(title, tuple(lines), owners))
    return found


def _resources(
    api: ApiClient, manifests: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    from kubernetes.dynamic import DynamicClient

    with explained("discovering the cluster's APIs"):
        client = DynamicClient(api)
    for manifest in manifests:
        title = f"{manifest['kind']}/{manifest['metadata']['name']}"
        with explained(f"looking for the API of {title}"):
            resource = client.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
        yield title, resource, manifest


def _live(resource: Any, manifest: Mapping[str, Any]) -> Any:
    from kubernetes.dynamic.exceptions import NotFoundError

    try:
        return resource.get(name=manifest["metadata"]["name"], namespace=manifest["metadata"]["namespace"])
    except NotFoundError:
        return None


def _applied(resource: Any, manifest: Mapping[str, Any], *, force: bool = False, **options: Any) -> Any:
    return resource.server_side_apply(
        body=dict(manifest),
        name=manifest["metadata"]["name"],
        namespace=manifest["metadata"]["namespace"],
        field_manager=FIELD_MANAGER,
        force_conflicts=force,
        **options,
    )


def _owners(conflict: Any) -> tuple[str, ...]:
    """Give the fields that a conflict is about and whose they are: `.spec.replicas: kubectl`."""
    try:
        causes = json.loads(conflict.body)["details"]["causes"]
    except (TypeError, ValueError, KeyError):
        return (str(conflict.reason),)
    # message: conflict with "kubectl" with subresource "scale" using apps/v1
    return tuple(one["field"] + ": " + one["message"].split('"')[1] for one in causes)


# what the API server itself writes about an object
_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def _plain(found: dict[str, Any]) -> list[str]:
    """Give an object as lines of YAML, without what the API server itself writes about it."""
    import yaml

    metadata = {key: value for key, value in found["metadata"].items() if key not in _SERVERS_OWN}
    rest = {key: value for key, value in found.items() if key not in ("metadata", "status")}
    text: str = yaml.safe_dump({**rest, "metadata": metadata}, default_flow_style=False, width=1000)
    return text.splitlines()


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
    api: ApiClient, namespace: str, name: str, binary: Mapping[str, bytes], *, labels: Mapping[str, str]
) -> None:
    """Create or replace a ConfigMap of files."""
    import base64

    data = {key: base64.b64encode(value).decode() for key, value in binary.items()}
    _put(api, "config_map", namespace, name, {"binaryData": data}, labels, {})


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


def secret_annotations(api: ApiClient, namespace: str, name: str) -> dict[str, str] | None:
    """Give a Secret's annotations, or None if there is no such Secret."""
    from kubernetes.client import CoreV1Api
    from kubernetes.client.exceptions import ApiException

    with explained(f"reading secret {namespace}/{name}"):
        try:
            return CoreV1Api(api).read_namespaced_secret(name, namespace).metadata.annotations or {}
        except ApiException as e:
            if e.status == 404:
                return None
            raise


def delete(api: ApiClient, kind: str, namespace: str, name: str) -> None:
    """Delete a `secret` or `config_map`; none is fine."""
    from kubernetes.client import CoreV1Api
    from kubernetes.client.exceptions import ApiException

    with explained(f"deleting {kind} {namespace}/{name}"):
        try:
            getattr(CoreV1Api(api), f"delete_namespaced_{kind}")(name, namespace)
        except ApiException as e:
            if e.status != 404:
                raise


@dataclass(frozen=True)
class Rollout:
    """How far a rollout is: ``complete``, and in words what it waits for."""

    complete: bool
    message: str
    pods: tuple[str, ...] = ()
    image_ids: tuple[str, ...] = ()


# Reasons of a waiting container that do not go away by waiting (kubelet, pkg/kubelet/images and container runtime errors).
_FATAL = (
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "CreateContainerConfigError",
    "RunContainerError",
)


def rollout(api: ApiClient, namespace: str, deployment: str, digest: str) -> Rollout:
    """Tell whether every pod of ``deployment`` is new, available and runs ``digest``.

    :raises PolicyFailed: as soon as the cluster says that it never will be: a crash loop, an image that cannot be
        pulled, a progress deadline exceeded, a pod that cannot be scheduled or created; with the last lines of the pod.
    """
    from kubernetes.client import AppsV1Api, CoreV1Api

    apps, core = AppsV1Api(api), CoreV1Api(api)
    with explained(f"reading deployment {namespace}/{deployment}"):
        seen = apps.read_namespaced_deployment(deployment, namespace)
        selector = ",".join(f"{k}={v}" for k, v in sorted(seen.spec.selector.match_labels.items()))
        pods = core.list_namespaced_pod(namespace, label_selector=selector).items
    wanted, status = seen.spec.replicas or 0, seen.status
    for condition in status.conditions or []:
        if condition.type == "Progressing" and condition.status == "False":
            raise PolicyFailed(
                f"the rollout stopped: {condition.reason}: {condition.message}",
                lines=_last_words(core, pods, digest),
            )
        if condition.type == "ReplicaFailure" and condition.status == "True":
            raise PolicyFailed(
                f"pods cannot be created: {condition.message}", remedy="see quota and admission policies"
            )
    ours = [pod for pod in pods if any(digest in (c.image or "") for c in pod.spec.containers)]
    for pod in ours:
        for container in pod.status.container_statuses or []:
            if stuck := _stuck(container):
                raise PolicyFailed(
                    f"pod {pod.metadata.name}: {stuck}",
                    remedy="see the pod's last lines, and its configuration",
                    lines=_last_words(core, [pod], digest),
                )
        for condition in pod.status.conditions or []:
            if (
                condition.type == "PodScheduled"
                and condition.status == "False"
                and condition.reason == "Unschedulable"
            ):
                raise PolicyFailed(f"pod {pod.metadata.name} cannot be scheduled: {condition.message}")
    serving = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    image_ids = tuple(c.image_id or "" for pod in serving for c in pod.status.container_statuses or [])
    state = Rollout(False, "", tuple(pod.metadata.name for pod in serving), image_ids)
    if (status.observed_generation or 0) < seen.metadata.generation:
        return Rollout(False, "the deployment controller has not seen the change yet", state.pods, image_ids)
    updated, available = status.updated_replicas or 0, status.available_replicas or 0
    if updated < wanted or available < wanted or (status.replicas or 0) > wanted:
        return Rollout(
            False,
            f"{updated} of {wanted} updated, {available} available, {status.replicas or 0} there",
            state.pods,
            image_ids,
        )
    strangers = [i for i in image_ids if not i.endswith(digest)]
    if strangers or len(serving) != wanted:
        return Rollout(False, f"{len(serving)} pods, other images: {strangers}", state.pods, image_ids)
    return Rollout(True, f"{wanted} pods run {digest}", state.pods, image_ids)


def _stuck(container: Any) -> str | None:
    """Give why a container will not come to run by waiting, from its status; None if it may.

    A crash can be chance; a second one after a restart is a loop. The kubelet may take a minute to try a third time.
    """
    waiting = container.state.waiting if container.state else None
    ended = container.state.terminated if container.state else None
    looping = waiting is not None and waiting.reason == "CrashLoopBackOff"
    if ended is None and looping and container.last_state:
        ended = container.last_state.terminated
    if ended is not None and ended.exit_code != 0 and (crashes := container.restart_count + 1) >= 2:
        return f"CrashLoopBackOff: {container.name} crashed {crashes} times, at last with exit code {ended.exit_code}"
    if waiting and waiting.reason in _FATAL:
        return f"{waiting.reason}: {waiting.message or ''}".rstrip(": ")
    return None


def _last_words(core: Any, pods: Iterable[Any], digest: str) -> list[str]:
    """Give the last log lines of the first pod of ``digest`` that wrote any, of the crashed container if it crashed."""
    from kubernetes.client.exceptions import ApiException

    for pod in pods:
        if not any(digest in (c.image or "") for c in pod.spec.containers):
            continue
        # of a container that has ended, the current log is that of its end; one that just began again may have none yet
        for previous in (False, True):
            try:
                # not parsed by the client, which would give the repr of bytes
                answer = core.read_namespaced_pod_log(
                    pod.metadata.name,
                    pod.metadata.namespace,
                    tail_lines=15,
                    previous=previous,
                    _preload_content=False,
                )
            except ApiException:  # no such container run: there is nothing to tell
                continue
            said = answer.data.decode(errors="replace")
            # the kubelet answers 200 with this for a container that is gone
            if said.strip() and not said.startswith("unable to retrieve container logs"):
                return [line for line in said.splitlines() if line.strip()]
    return []


def get(api: ApiClient, namespace: str, service: str, port: int, path: str) -> tuple[int, bytes]:
    """Give status and body of a GET on a service, sent through the API server (works wherever the worker runs)."""
    from kubernetes.client import CoreV1Api
    from kubernetes.client.exceptions import ApiException

    with explained(f"GET {service}.{namespace}:{port}{path}"):
        try:
            answer = CoreV1Api(api).connect_get_namespaced_service_proxy_with_path(
                f"{service}:{port}", namespace, path.lstrip("/"), _preload_content=False, _request_timeout=10
            )
        except ApiException as e:
            if e.status in (502, 503, 504, 500, 404):
                return int(e.status), (e.body or b"") if isinstance(e.body, bytes) else str(
                    e.body or ""
                ).encode()
            raise
        return int(answer.status), answer.data
