"""The Kubernetes cluster: server-side apply, the truth about a rollout, short-lived Secrets, requests through the API server."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from slipway.errors import PolicyFailed, Transient
from slipway.release.policy import API_VERSIONS
from slipway.unreachable import why

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

FIELD_MANAGER = "slipway"


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the client's errors into ours: refused objects are policy, anything else is transient, refused rights, too."""
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
        if conflicts := _conflicts(e):
            raise _refused(what, conflicts) from e
        if status == 409:
            # of two writes at one time the later is refused; it is to look again (Kubernetes' API conventions)
            raise Transient(
                f"{what}: {said}", remedy="somebody else changed it at that moment: clear the task"
            ) from e
        if (
            status in (400, 422)
            or (status == 403 and ("quota" in said or "violates" in said or "denied" in said))
            # server-side apply answers 500 to a value of the wrong type
            or (status == 500 and "typed patch object" in said)
        ):
            raise PolicyFailed(
                f"{what}: {said}", remedy="correct the manifests in the config repository"
            ) from e
        if status in (401, 403):
            # not permanent: an API server that has just started refuses everybody until it has read its roles
            raise Transient(f"{what}: {said}", remedy="see the Role of Slipway's service account") from e
        raise Transient(f"{what}: {status}: {said}", remedy="see that the API server answers") from e
    except (urllib3.exceptions.HTTPError, OSError) as e:
        raise Transient(
            f"{what}: the API server does not answer: {why(e)}",
            remedy="see that the cluster of connection slipway_cluster_… runs (`kubectl get --raw /readyz`)",
        ) from e


def apply(api: ApiClient, manifests: Iterable[Mapping[str, Any]], *, force: bool = False) -> list[str]:
    """Apply objects under our field manager; give `Kind/name: unchanged|changed` for each.

    :param force: take fields that another field manager owns, which undoes its change.
    :raises PolicyFailed: if the API server refuses one, or (without ``force``) other field managers own fields of it:
        each is named with its owner.
    """
    changes = []
    for title, resource, manifest in _resources(api, manifests):
        with explained(f"applying {title}"):
            before = _live(resource, manifest)
            after = _server_side(resource, manifest, force=force).metadata.resourceVersion
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
    :raises PolicyFailed: if the API server refuses an object, as :func:`apply` does; fields that others own are told
        of all objects at once.
    """
    from kubernetes.dynamic.exceptions import ConflictError

    found, refused = list[Difference](), dict[str, tuple[Conflict, ...]]()
    for title, resource, manifest in _resources(api, manifests):
        with explained(f"comparing {title}"):
            live = _live(resource, manifest)
            owners: tuple[str, ...] = ()
            try:
                wanted = _server_side(resource, manifest, dry_run="All")
            except ConflictError as e:
                if not (conflicts := _conflicts(e)):
                    raise
                if not force:
                    refused[title] = conflicts
                    continue
                owners = tuple(map(str, conflicts))
                wanted = _server_side(resource, manifest, force=True, dry_run="All")
        before, after = (_plain(one.to_dict()) if one is not None else [] for one in (live, wanted))
        lines = difflib.unified_diff(before, after, f"{title} (live)", f"{title} (released)", lineterm="")
        found.append(Difference(title, tuple(lines), owners))
    if refused:
        told = [
            replace(one, field=f"{title}: {one.field}") for title, all_ in refused.items() for one in all_
        ]
        raise _refused("comparing what is live", told)
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


def _server_side(resource: Any, manifest: Mapping[str, Any], *, force: bool = False, **options: Any) -> Any:
    return resource.server_side_apply(
        body=dict(manifest),
        name=manifest["metadata"]["name"],
        namespace=manifest["metadata"]["namespace"],
        field_manager=FIELD_MANAGER,
        force_conflicts=force,
        **options,
    )


@dataclass(frozen=True)
class Conflict:
    """A field that we would apply and that another field manager owns, with another value.

    :param field: as the API server writes it: `.spec.template.spec.containers[name="app"].image`.
    :param owner: the other's name, and the subresource by which it came to own the field.
    """

    field: str
    owner: str

    def __str__(self) -> str:
        return f"{self.field}: {self.owner}"


# as the API server words a cause (apimachinery, pkg/util/managedfields/internal/conflict.go); names are quoted as Go does
_CAUSE = re.compile(r'conflict with (?P<name>"(?:[^"\\]|\\.)*")(?: with subresource "(?P<part>[^"]*)")?')


def _conflicts(refusal: Any) -> tuple[Conflict, ...]:
    """Give the fields that an apply is refused for, sorted; none if it is refused for anything else."""
    if getattr(refusal, "status", None) != 409:
        return ()
    try:
        causes = json.loads(refusal.body)["details"]["causes"]
    except (TypeError, ValueError, KeyError):
        return ()
    conflicts = [one for one in causes or [] if one.get("reason") == "FieldManagerConflict"]
    found = [Conflict(str(one.get("field")), _owner(str(one.get("message")))) for one in conflicts]
    return tuple(sorted(found, key=str))


def _owner(message: str) -> str:
    """Give whose a field is, from the API server's words; those words themselves if they are others than expected."""
    said = _CAUSE.match(message)
    if said is None:
        return message
    return re.sub(r"\\(.)", r"\1", said["name"][1:-1]) + (f" (by {said['part']})" if said["part"] else "")


def _refused(what: str, conflicts: Sequence[Conflict]) -> PolicyFailed:
    """Give the error for fields of others: the first in its message, all as its lines."""
    first, more = conflicts[0], len(conflicts) - 1
    rest = f" (and {more} more)" if more else ""
    return PolicyFailed(
        f"{what}: {first.field} belongs to field manager {first.owner}{rest}",
        remedy="undo that change, or leave out of the manifests what is the other's to say (an autoscaler's replicas)",
        lines=map(str, conflicts),
    )


# what the API server itself writes about an object
_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def _plain(found: dict[str, Any]) -> list[str]:
    """Give an object as lines of YAML, without what the API server itself writes about it."""
    import yaml

    metadata = {key: value for key, value in found["metadata"].items() if key not in _SERVERS_OWN}
    rest = {key: value for key, value in found.items() if key not in ("metadata", "status")}
    text: str = yaml.safe_dump({**rest, "metadata": metadata}, default_flow_style=False, width=1000)
    return text.splitlines()


Item = tuple[str, str, str]
"""An object that a release applied: kind, name, apiVersion."""


@dataclass(frozen=True)
class Stale:
    """A live object that an earlier release applied and that this one does not have.

    :param title: ``Kind/name``.
    :param left: why it is not deleted; None if it is.
    """

    title: str
    left: str | None = None

    def __str__(self) -> str:
        return f"{self.title}: {f'left alone: {self.left}' if self.left else 'to be deleted'}"


def prunable(
    api: ApiClient,
    namespace: str,
    inventory: Iterable[Item],
    keep: Iterable[Item],
    *,
    service: str,
    kinds: Iterable[str],
) -> list[Stale]:
    """Give what :func:`prune` would delete, and what it would leave alone and why; what is not live is left out.

    What uses others comes first: a Deployment before the configuration that its pods read.

    :param inventory: what earlier releases of the service applied here, from the ledger.
    :param keep: what this release applies; never empty.
    :param service: the service, which the objects must say they are part of.
    :param kinds: the kinds that the catalog lets the service have. No other is touched.
    """
    return [stale for _, _, stale in _stale(api, namespace, inventory, keep, service, kinds)]


def prune(
    api: ApiClient,
    namespace: str,
    inventory: Iterable[Item],
    keep: Iterable[Item],
    *,
    service: str,
    kinds: Iterable[str],
) -> list[str]:
    """Delete what earlier releases applied and this one does not have; give `Kind/name: deleted|left alone: why` for each.

    Only what is ours by its labels (managed-by, part-of) and by its managedFields: of what somebody else made under the
    same name since then, nothing is deleted. What was looked at is what is deleted: if it changes meanwhile, it is looked
    at again. Parameters as for :func:`prunable`.

    :raises Transient: if an object changes faster than it can be looked at.
    """
    from kubernetes.dynamic.exceptions import ConflictError, NotFoundError

    done = []
    for resource, live, stale in _stale(api, namespace, inventory, keep, service, kinds):
        for again in range(_LOOKS, 0, -1):
            if stale.left:
                break
            with explained(f"deleting {stale.title}"):
                seen = {"uid": live.metadata.uid, "resourceVersion": live.metadata.resourceVersion}
                # In the background, so that the name is free at once: what is deleted in the foreground stays, going away,
                # until its pods are gone, and a rollback that applies it again would see it vanish.
                options = {
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "propagationPolicy": "Background",
                    "preconditions": seen,
                }
                try:
                    resource.delete(name=live.metadata.name, namespace=namespace, body=options)
                    break
                except NotFoundError:
                    break
                except ConflictError:
                    if again == 1:
                        raise
                    live = _live(resource, {"metadata": {"name": live.metadata.name, "namespace": namespace}})
                    if live is None:
                        break
                    stale = Stale(stale.title, _left(live.to_dict(), service))
        done.append(str(stale) if stale.left else f"{stale.title}: deleted")
    return done


_LOOKS = 5  # a Deployment's status changes often while it rolls out, but not between two requests


def _stale(
    api: ApiClient,
    namespace: str,
    inventory: Iterable[Item],
    keep: Iterable[Item],
    service: str,
    kinds: Iterable[str],
) -> Iterator[tuple[Any, Any, Stale]]:
    kept = {(kind, name) for kind, name, _ in keep}
    if not kept:
        raise ValueError("a release that keeps nothing would delete all that the service has")
    allowed, order = set(kinds), list(reversed(API_VERSIONS))
    manifests, others = list[dict[str, Any]](), list[Stale]()
    for kind, name, version in sorted({one for one in inventory if one[:2] not in kept}):
        wanted = API_VERSIONS.get(kind) if kind in allowed else None
        if wanted is None or _group(version) != _group(wanted):
            why = f"{kind} of {version} is not a kind that the catalog lets the service have"
            others.append(Stale(f"{kind}/{name}", why))
            continue
        # an object is the same one in every version of its API; that of its record may not be served any more
        one = {"apiVersion": wanted, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        if one not in manifests:
            manifests.append(one)
    manifests.sort(key=lambda one: (order.index(one["kind"]), one["metadata"]["name"]))
    for title, resource, manifest in _resources(api, manifests):
        with explained(f"reading {title}"):
            live = _live(resource, manifest)
        if live is not None:
            yield resource, live, Stale(title, _left(live.to_dict(), service))
    yield from ((None, None, stale) for stale in others)


def _group(version: str) -> str:
    return version.rpartition("/")[0]


def _left(live: Mapping[str, Any], service: str) -> str | None:
    """Give why an object is not ours to delete; None if it is."""
    metadata = live["metadata"]
    labels = metadata.get("labels") or {}
    for label, wanted in (("managed-by", "slipway"), ("part-of", service)):
        if (found := labels.get(f"app.kubernetes.io/{label}")) != wanted:
            return f"its label app.kubernetes.io/{label} is {found or 'missing'}, not {wanted}"
    applied = [one for one in metadata.get("managedFields") or [] if one.get("operation") == "Apply"]
    if not any(one.get("manager") == FIELD_MANAGER for one in applied):
        return f"no field of it was applied by {FIELD_MANAGER}"
    if metadata.get("deletionTimestamp"):
        return "it is being deleted already"
    return None


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
    ]
    return found


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
