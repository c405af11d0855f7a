"""The truth about a rollout, from conditions, events and the pods themselves; and what a service answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from slipway.adapters.cluster.objects import FIELD_MANAGER
from slipway.adapters.cluster.obstacles import (
    Cause,
    Obstacle,
    counts,
    has_ended,
    is_of,
    of_creation,
    of_end,
    of_pod,
    wants_events,
    worst,
)
from slipway.adapters.cluster.refusals import explained
from slipway.errors import PolicyFailed

if TYPE_CHECKING:
    from kubernetes.client import ApiClient


@dataclass(frozen=True)
class Rollout:
    """How far a rollout is.

    :param message: how far, and what it waits for.
    :param obstacle: what keeps it, if that is known: decides whose fault it is if the time is over.
    """

    complete: bool
    message: str
    pods: tuple[str, ...] = ()
    image_ids: tuple[str, ...] = ()
    obstacle: Obstacle | None = None


SETTLES = 6
"""The part of a rollout's time, a sixth, that is left for somebody to make what is missing, such as a Secret."""

MOST_ASKED = 3
"""So many pods at most are asked for their events at each look."""


def rollout(api: ApiClient, namespace: str, deployment: str, digest: str, *, timeout_s: float) -> Rollout:
    """Tell whether every pod of ``deployment`` is new, available and runs ``digest``.

    The pods of its own ReplicaSets count that have not ended and are not being deleted; others may have its labels.

    :param timeout_s: seconds that the rollout may take by the catalog.
    :raises PolicyFailed: as soon as it is certain that it never will be, and that it is the service's fault; with the last
        lines of the pod. :raises Permanent: if it is the platform's.
    """
    from kubernetes.client import AppsV1Api, CoreV1Api

    apps, core = AppsV1Api(api), CoreV1Api(api)
    with explained(f"reading deployment {namespace}/{deployment}"):
        seen = apps.read_namespaced_deployment(deployment, namespace)
        selector = ",".join(f"{k}={v}" for k, v in sorted(seen.spec.selector.match_labels.items()))
        pods = core.list_namespaced_pod(namespace, label_selector=selector).items
        # after the pods: the ReplicaSet of each of them is there then
        sets = apps.list_namespaced_replica_set(namespace, label_selector=selector).items
    return judged(
        seen,
        pods,
        sets,
        digest,
        timeout_s=timeout_s,
        events=lambda pod: events_of(core, pod),
        words=lambda some: _last_words(core, some),
    )


def judged(
    seen: Any,
    pods: Sequence[Any],
    sets: Sequence[Any],
    digest: str,
    *,
    timeout_s: float,
    events: Callable[[Any], Sequence[Any]],
    words: Callable[[Iterable[Any]], list[str]],
) -> Rollout:
    """Give what a deployment, and the pods and ReplicaSets that its selector fits, come to; errors as :func:`rollout`.

    :param events: gives the events of a pod, if they are wanted.
    :param words: gives the last lines of one of some pods, if they are to be told.
    """
    own = [one for one in sets if is_of(one, [seen])]
    members = [pod for pod in pods if is_of(pod, own)]
    serving = [pod for pod in members if counts(pod)]
    left_out = _left_out(pods, members)
    names = tuple(pod.metadata.name for pod in serving)
    image_ids = tuple(one for pod in serving for one in _image_ids(pod))

    def going(message: str, obstacle: Obstacle | None = None) -> Rollout:
        said = "; ".join(filter(None, [str(obstacle or ""), message, *left_out]))
        return Rollout(False, said, names, image_ids, obstacle)

    if (seen.status.observed_generation or 0) < seen.metadata.generation:
        # its conditions are those of what was there before
        unseen = "the deployment controller has not seen the change yet"
        return going("", Obstacle(Cause.UNSEEN, unseen, None, Cause.UNSEEN.whose, is_final=False))
    newest = _newest(seen, own)
    settle_s = min(timeout_s, seen.spec.progress_deadline_seconds or timeout_s) / SETTLES
    newest_ones = [pod for pod in members if newest and is_of(pod, [newest])]
    found = _obstacles(newest, newest_ones, settle_s, digest, events)
    wanted, status = seen.spec.replicas or 0, seen.status
    updated, available, there = (
        status.updated_replicas or 0,
        status.available_replicas or 0,
        status.replicas or 0,
    )
    is_even = updated >= wanted and available >= wanted and there <= wanted
    if not is_even and not found:
        found = _ends(newest_ones, _changed_at(seen))
    if found or not is_even:
        _fail_if_final(seen, found, newest_ones, words)
        # the deployment's own figures follow a moment later than the pods'
        return going(f"{updated} of {wanted} updated, {available} available, {there} there", worst(found))
    strangers = [pod for pod in serving if not any(i.endswith(digest) for i in _image_ids(pod))]
    if strangers or len(serving) != wanted:
        others = [i for pod in strangers for i in _image_ids(pod)]
        return going(f"{len(serving)} pods, other images: {others}")
    return Rollout(True, "; ".join([f"{wanted} pods run {digest}", *left_out]), names, image_ids)


def _left_out(pods: Sequence[Any], members: Sequence[Any]) -> list[str]:
    """Give in words which pods do not count though they have the labels; those that are going away need no word."""
    told = []
    ended = sorted(pod.metadata.name for pod in members if has_ended(pod))
    if ended:
        told.append(f"not counted: {len(ended)} that ended ({', '.join(ended[:3])})")
    kept = {pod.metadata.uid for pod in members}
    strangers = sorted(pod.metadata.name for pod in pods if pod.metadata.uid not in kept)
    if strangers:
        told.append(
            f"not counted: {len(strangers)} of others, which the selector fits, too ({', '.join(strangers[:3])})"
        )
    return told


def _obstacles(
    newest: Any | None,
    pods: Iterable[Any],
    settle_s: float,
    digest: str,
    events: Callable[[Any], Sequence[Any]],
) -> list[Obstacle]:
    """Give what keeps the ``pods`` of the newest ReplicaSet, or keeps it from making them."""
    found, asked = [], 0
    for pod in sorted(filter(counts, pods), key=_name):
        told: Sequence[Any] = ()
        if wants_events(pod) and asked < MOST_ASKED:
            told, asked = events(pod), asked + 1
        found.append(of_pod(pod, told, settle_s=settle_s, ours=digest))
    for condition in (newest.status.conditions if newest else None) or []:
        if condition.type == "ReplicaFailure" and condition.status == "True":
            since = condition.last_transition_time
            age_s = (datetime.now(UTC) - since).total_seconds() if since else 0.0
            found.append(of_creation(condition.message or "", age_s=age_s, settle_s=settle_s))
    return [one for one in found if one]


def _ends(pods: Iterable[Any], since: datetime) -> list[Obstacle]:
    """Give why the cluster ended pods that were made ``since``: others are made in their place, and may end so, too."""
    made = [pod for pod in pods if pod.metadata.creation_timestamp >= since]
    return [one for pod in made if (one := of_end(pod))]


def _name(pod: Any) -> str:
    return str(pod.metadata.name)


def events_of(core: Any, pod: Any) -> list[Any]:
    """Give the events of a pod."""
    with explained(f"reading the events of pod {pod.metadata.name}"):
        found: list[Any] = core.list_namespaced_event(
            pod.metadata.namespace, field_selector=f"involvedObject.uid={pod.metadata.uid}"
        ).items
    return found


def _fail_if_final(
    deployment: Any,
    found: Sequence[Obstacle],
    pods: Sequence[Any],
    words: Callable[[Iterable[Any]], list[str]],
) -> None:
    decides, stopped = worst(found), _stopped(deployment)
    if decides is None:
        if stopped:  # no pod is known to be kept from anything: they are not all there in time
            raise PolicyFailed(
                f"the rollout stopped: {stopped}",
                code="rollout.stopped",
                remedy=Cause.NOT_READY.remedy,
                lines=words(pods),
            )
    elif decides.is_final or stopped:
        lines = words(pod for pod in pods if pod.metadata.name == decides.pod)
        crashed = decides.cause in (Cause.CRASHED, Cause.CRASH_LOOP)
        last = lines[-1] if lines and crashed else ""
        raise decides.error(last, stopped=None if decides.is_final else stopped, lines=lines)


def _stopped(deployment: Any) -> str | None:
    """Give why the deployment's controller has given up, in its words: the Deployment's own time is over."""
    for condition in deployment.status.conditions or []:
        if condition.type != "Progressing" or condition.status != "False":
            continue
        # the controller leaves the condition of an earlier rollout when a template comes back that was there before
        if condition.last_update_time and condition.last_update_time < _changed_at(deployment):
            continue
        return f"{condition.reason}: {condition.message}"
    return None


def _image_ids(pod: Any) -> list[str]:
    return [one.image_id or "" for one in pod.status.container_statuses or []]


def _newest(deployment: Any, sets: Iterable[Any]) -> Any | None:
    """Give the ReplicaSet of the deployment's present template; None if it is not there yet."""
    revision = (deployment.metadata.annotations or {}).get(_REVISION)
    return next((one for one in sets if (one.metadata.annotations or {}).get(_REVISION) == revision), None)


_REVISION = "deployment.kubernetes.io/revision"


def _changed_at(deployment: Any) -> datetime:
    """Give when we last changed the deployment, by the API server's clock."""
    ours = [one.time for one in deployment.metadata.managed_fields or [] if one.manager == FIELD_MANAGER]
    return max(filter(None, ours), default=datetime.min.replace(tzinfo=UTC))


def keeps(api: ApiClient, pod: Any, *, timeout_s: float) -> Obstacle | None:
    """Give what keeps a pod of a release's own from starting; None if nothing is known to.

    :param timeout_s: seconds that it may take.
    """
    from kubernetes.client import CoreV1Api

    events = events_of(CoreV1Api(api), pod) if wants_events(pod) else ()
    return of_pod(pod, events, settle_s=timeout_s / SETTLES)


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


def _is_status(body: bytes) -> bool:
    """Tell whether a body is what the API server says of itself (kind Status, v1)."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and (said.get("kind"), said.get("apiVersion")) == ("Status", "v1")


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
            body = e.body if isinstance(e.body, bytes) else str(e.body or "").encode()
            if not e.status or (e.status in (401, 403) and _is_status(body)):
                raise  # the API server's own refusal
            return int(e.status), body
        return int(answer.status), answer.data
