"""Taking over what kubectl or Helm made: the fields that they manage become ours, so that the first release meets no conflict.

As kubectl itself goes from client-side to server-side apply (k8s.io/client-go, util/csaupgrade): managedFields are rewritten,
nothing else. What they set and the manifests do not have is ours from then on, too, and so the next apply removes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slipway.adapters.cluster.objects import FIELD_MANAGER, live_object, resources
from slipway.adapters.cluster.refusals import TAKEN, explained
from slipway.errors import PolicyFailed, Transient

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

_TRIES = 5  # a Deployment's status changes often while it rolls out, but not between two requests


@dataclass(frozen=True)
class Adoption:
    """An object that the manifests name, and whose fields of it would become ours.

    :param title: ``Kind/name``.
    :param managers: the others, each with the number of its fields; none: there is nothing to take over.
    :param is_live: whether it is there at all.
    :param helm: name of Helm's release that it is of.
    """

    title: str
    managers: tuple[tuple[str, int], ...] = ()
    is_live: bool = True
    helm: str | None = None

    def __str__(self) -> str:
        if not self.is_live:
            return f"{self.title}: not there, the release makes it"
        told = ", ".join(f"{name} ({count} fields)" for name, count in self.managers)
        of_helm = f", of Helm's release {self.helm}" if self.helm else ""
        return f"{self.title}{of_helm}: " + (f"of {told}" if told else "nothing to take over")


def adoptable(
    api: ApiClient, manifests: Iterable[Mapping[str, Any]], *, service: str, managers: Iterable[str] = ()
) -> list[Adoption]:
    """Give for each object whose fields :func:`adopt` would make ours. Nothing is changed.

    :param managers: field managers besides those of kubectl and Helm.
    :raises PolicyFailed: if an object is another service's.
    """
    others, found = frozenset(managers), list[Adoption]()
    for title, resource, manifest in resources(api, manifests):
        with explained(f"reading {title}"):
            live = live_object(resource, manifest)
        found.append(
            _look(title, live.to_dict(), service, others) if live else Adoption(title, is_live=False)
        )
    return found


def adopt(
    api: ApiClient, manifests: Iterable[Mapping[str, Any]], *, service: str, managers: Iterable[str] = ()
) -> list[str]:
    """Make what others manage of the objects ours; give `Kind/name: …` for each. Repeats are harmless.

    Parameters and errors as for :func:`adoptable`.

    :raises Transient: if an object changes faster than it can be looked at.
    """
    others = frozenset(managers)
    return [
        f"{title}: {_adopt(title, resource, manifest, service, others)}"
        for title, resource, manifest in resources(api, manifests)
    ]


def _adopt(
    title: str, resource: Any, manifest: Mapping[str, Any], service: str, others: frozenset[str]
) -> str:
    from kubernetes.dynamic.exceptions import ConflictError

    for _ in range(_TRIES):
        with explained(f"taking over {title}"):
            live = live_object(resource, manifest)
            if live is None:
                return "not there"
            seen = live.to_dict()
            _look(title, seen, service, others)
            fields = ours(seen["metadata"].get("managedFields") or [], str(manifest["apiVersion"]), others)
            if fields is None:
                return "nothing to take over"
            patch = [
                {"op": "replace", "path": "/metadata/managedFields", "value": fields},
                # refused if it has changed since: somebody else's entry would be lost
                {
                    "op": "replace",
                    "path": "/metadata/resourceVersion",
                    "value": seen["metadata"]["resourceVersion"],
                },
            ]
            try:
                resource.patch(
                    body=patch,
                    name=manifest["metadata"]["name"],
                    namespace=manifest["metadata"]["namespace"],
                    content_type="application/json-patch+json",
                    field_manager=FIELD_MANAGER,
                )
            except ConflictError:
                continue
            return "taken over"
    raise Transient(
        f"{title} changes faster than it can be taken over",
        code="adopt.object-changes",
        remedy="do it again when its rollout is over",
    )


def _look(title: str, live: Mapping[str, Any], service: str, others: frozenset[str]) -> Adoption:
    metadata = live["metadata"]
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    owner = labels.get("app.kubernetes.io/part-of")
    if labels.get("app.kubernetes.io/managed-by") == "slipway" and owner != service:
        raise PolicyFailed(
            f"{title} is of service {owner}, not of {service}",
            code="adopt.object-of-other-service",
            remedy="give the object of the manifests another name, or remove it from the other service's",
        )
    taken = [one for one in metadata.get("managedFields") or [] if _is_taken(one, others)]
    return Adoption(
        title,
        tuple((str(one["manager"]), _count(one.get("fieldsV1") or {})) for one in taken),
        helm=notes.get("meta.helm.sh/release-name"),
    )


def _is_taken(entry: Mapping[str, Any], others: frozenset[str]) -> bool:
    name = str(entry.get("manager"))
    # the status is the controllers' to say; `kubectl scale` sets replicas by a subresource, too
    return entry.get("subresource") in (None, "", "scale") and bool(name in others or TAKEN.fullmatch(name))


def ours(entries: list[dict[str, Any]], version: str, others: frozenset[str]) -> list[dict[str, Any]] | None:
    """Give managedFields in which what others have applied or changed is in our own entry; None if there is nothing of theirs.

    :param version: the manifest's apiVersion: fields of another are named by other words, and stay where they are.
    """
    taken = [one for one in entries if one.get("apiVersion") == version and _is_taken(one, others)]
    if not taken:
        return None

    def is_ours(one: Mapping[str, Any]) -> bool:
        return (
            one.get("manager") == FIELD_MANAGER
            and one.get("operation") == "Apply"
            and not one.get("subresource")
        )

    fields: dict[str, Any] = {}
    for one in (*filter(is_ours, entries), *taken):
        fields = _union(fields, one.get("fieldsV1") or {})
    fields.pop("f:status", None)
    entry = {
        "manager": FIELD_MANAGER,
        "operation": "Apply",
        "apiVersion": version,
        "time": max(str(one["time"]) for one in taken if one.get("time"))
        if any(o.get("time") for o in taken)
        else None,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
    }
    rest = [one for one in entries if one not in taken and not is_ours(one)]
    return [*rest, {key: value for key, value in entry.items() if value is not None}]


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Give all fields of two sets; both are trees whose leaves are empty."""
    return {key: _union(one.get(key) or {}, other.get(key) or {}) for key in {**one, **other}}


def _count(fields: Mapping[str, Any]) -> int:
    return sum(_count(inner) if inner else key != "." for key, inner in fields.items())
