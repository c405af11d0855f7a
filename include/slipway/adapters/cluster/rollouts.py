"""The truth about a rollout, from conditions, events and the pods themselves; and what a service answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slipway.adapters.cluster.objects import FIELD_MANAGER
from slipway.adapters.cluster.refusals import explained
from slipway.errors import PolicyFailed

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


@dataclass(frozen=True)
class Rollout:
    """How far a rollout is: ``complete``, and in words what it waits for."""

    complete: bool
    message: str
    pods: tuple[str, ...] = ()
    image_ids: tuple[str, ...] = ()


_PULL = "name an image that the registry has, and that the namespace's pull secret may pull"
_START = "see the pod's last lines, and its configuration"
# Reasons of a waiting container that do not go away by waiting (kubelet, pkg/kubelet/images and container runtime errors),
# each with what to do.
_FATAL = {
    "ErrImagePull": _PULL,
    "ImagePullBackOff": _PULL,
    "InvalidImageName": _PULL,
    "CreateContainerConfigError": "create the Secret, ConfigMap or key that is named, or correct the pod's user",
    "CreateContainerError": _START,
    "RunContainerError": "correct the container's command in the manifests",
}
_REMEDIES = {
    **_FATAL,
    "Unschedulable": "ask for less, correct node selector and affinity, or give the cluster a node that fits",
    "FailedMount": "create the Secret, ConfigMap or claim that the volume names, or correct the manifests",
}
SETTLES_S = 5.0
"""Seconds after which a pod that no node takes is given up: those of an earlier rollout may still be going away."""
_TRIED = 4  # times that the kubelet has tried the same in vain, which takes it about four seconds


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
    serving = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
    image_ids = tuple(one for pod in serving for one in _image_ids(pod))
    names = tuple(pod.metadata.name for pod in serving)
    if (status.observed_generation or 0) < seen.metadata.generation:
        # its conditions are those of what was there before
        return Rollout(False, "the deployment controller has not seen the change yet", names, image_ids)
    updated, available = status.updated_replicas or 0, status.available_replicas or 0
    is_even = updated >= wanted and available >= wanted and (status.replicas or 0) <= wanted
    if not is_even or any(_unable(pod) for pod in serving):
        with explained(f"reading the newest pods of {namespace}/{deployment}"):
            newest = _newest(apps, seen, selector)
            _fail_if_stuck(core, seen, newest, [pod for pod in serving if _is_of(pod, newest)])
    if not is_even:
        return Rollout(
            False,
            f"{updated} of {wanted} updated, {available} available, {status.replicas or 0} there",
            names,
            image_ids,
        )
    strangers = [pod for pod in serving if not any(i.endswith(digest) for i in _image_ids(pod))]
    if strangers or len(serving) != wanted:
        others = [i for pod in strangers for i in _image_ids(pod)]
        return Rollout(False, f"{len(serving)} pods, other images: {others}", names, image_ids)
    return Rollout(True, f"{wanted} pods run {digest}", names, image_ids)


def _image_ids(pod: Any) -> list[str]:
    return [one.image_id or "" for one in pod.status.container_statuses or []]


def _newest(apps: Any, deployment: Any, selector: str) -> Any | None:
    """Give the ReplicaSet of the deployment's present template; None if it is not there yet."""
    revision = (deployment.metadata.annotations or {}).get(_REVISION)
    for one in apps.list_namespaced_replica_set(deployment.metadata.namespace, label_selector=selector).items:
        if _is_of(one, deployment) and (one.metadata.annotations or {}).get(_REVISION) == revision:
            return one
    return None


_REVISION = "deployment.kubernetes.io/revision"


def _is_of(thing: Any, owner: Any | None) -> bool:
    owners = thing.metadata.owner_references or []
    return owner is not None and any(one.uid == owner.metadata.uid for one in owners)


def _fail_if_stuck(core: Any, deployment: Any, newest: Any | None, pods: list[Any]) -> None:
    for pod in pods:
        if problem := _unable(pod) or _unstarted(core, pod):
            words = _last_words(core, [pod])
            raise PolicyFailed(
                ": ".join([f"pod {pod.metadata.name}", problem, *words[-1:]]),
                remedy=_REMEDIES.get(problem.partition(":")[0], _START),
                lines=words,
            )
    for condition in (newest.status.conditions if newest else None) or []:
        if condition.type == "ReplicaFailure" and condition.status == "True":
            raise PolicyFailed(
                f"pods cannot be created: {condition.message}",
                remedy="ask for less in the manifests, or raise the quota or change the policy that refuses them",
            )
    for condition in deployment.status.conditions or []:
        if condition.type == "Progressing" and condition.status == "False":
            # the controller leaves the condition of an earlier rollout when a template comes back that was there before
            if condition.last_update_time and condition.last_update_time < _changed_at(deployment):
                continue
            unready = [pod for pod in pods if not _is_ready(pod)]
            why = next(filter(None, (_event(core, pod, "Unhealthy") for pod in unready)), None)
            what = f"pod {unready[0].metadata.name} is not ready: {why.message}; " if why else ""
            raise PolicyFailed(
                f"{what}the rollout stopped: {condition.reason}: {condition.message}",
                remedy="see the pod's last lines, and what its readiness probe asks for",
                lines=_last_words(core, unready),
            )


def _changed_at(deployment: Any) -> datetime:
    """Give when we last changed the deployment, by the API server's clock."""
    ours = [one.time for one in deployment.metadata.managed_fields or [] if one.manager == FIELD_MANAGER]
    return max(filter(None, ours), default=datetime.min.replace(tzinfo=UTC))


def _is_ready(pod: Any) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or [])


def cannot_start(api: ApiClient, pod: Any) -> str | None:
    """Give why a pod that is still to start never will by waiting, with its reason first; None if it may."""
    from kubernetes.client import CoreV1Api

    with explained(f"reading the events of pod {pod.metadata.name}"):
        return _unable(pod) or _unstarted(CoreV1Api(api), pod)


def _unable(pod: Any) -> str | None:
    for container in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]:
        if stuck := _stuck(container):
            return stuck
    for condition in pod.status.conditions or []:
        if (
            condition.type == "PodScheduled"
            and condition.status == "False"
            and condition.reason == "Unschedulable"
            and (datetime.now(UTC) - condition.last_transition_time).total_seconds() > SETTLES_S
        ):
            return f"Unschedulable: {condition.message}"
    return None


def _unstarted(core: Any, pod: Any) -> str | None:
    """Give what the kubelet tries in vain before there is a container, such as to mount what is missing."""
    statuses = [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
    waiting = {one.state.waiting.reason for one in statuses if one.state and one.state.waiting}
    if not waiting & {"ContainerCreating", "PodInitializing"}:
        return None
    for reason in ("FailedMount", "FailedCreatePodSandBox"):
        event = _event(core, pod, reason)
        if event and (event.count or 0) >= _TRIED:
            return f"{reason}: {event.message}"
    return None


def _event(core: Any, pod: Any, reason: str) -> Any | None:
    """Give the pod's newest event of a reason."""
    found = core.list_namespaced_event(
        pod.metadata.namespace, field_selector=f"involvedObject.uid={pod.metadata.uid},reason={reason}"
    ).items
    return max(found, key=lambda one: one.last_timestamp or one.metadata.creation_timestamp, default=None)


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
        why = f"{ended.reason}, " if ended.reason not in (None, "Error") else ""
        return f"CrashLoopBackOff: {container.name} crashed {crashes} times, at last with {why}exit code {ended.exit_code}"
    if waiting and waiting.reason in _FATAL:
        return f"{waiting.reason}: {waiting.message or ''}".rstrip(": ")
    return None


def _last_words(core: Any, pods: Iterable[Any]) -> list[str]:
    """Give the last log lines of the first pod that wrote any, of the crashed container if it crashed."""
    from kubernetes.client.exceptions import ApiException

    for pod in pods:
        # of a container that has ended, the current log is that of its end; one that just began again may have none yet
        for previous in (False, True):
            try:
                # not parsed by the client, which would give the repr of bytes
                answer = core.read_namespaced_pod_log(
                    pod.metadata.name,
                    pod.metadata.namespace,
                    tail_lines=15,
                    limit_bytes=100_000,
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
