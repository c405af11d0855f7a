"""Deleting what earlier releases applied and the present one does not have; nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.adapters.cluster.objects import FIELD_MANAGER, live_object, resources
from slipway.adapters.cluster.refusals import explained
from slipway.release.policy import API_VERSIONS

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

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
                    live = live_object(
                        resource, {"metadata": {"name": live.metadata.name, "namespace": namespace}}
                    )
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
    for title, resource, manifest in resources(api, manifests):
        with explained(f"reading {title}"):
            live = live_object(resource, manifest)
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
