"""Server-side apply under our field manager, and by a dry run what it would change."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slipway.adapters.cluster.refusals import Conflict, conflicting, conflicts_of, explained

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

FIELD_MANAGER = "slipway"


def apply(api: ApiClient, manifests: Iterable[Mapping[str, Any]], *, force: bool = False) -> list[str]:
    """Apply objects under our field manager; give `Kind/name: unchanged|changed` for each.

    :param force: take fields that another field manager owns, which undoes its change.
    :raises PolicyFailed: if the API server refuses one, or (without ``force``) other field managers own fields of it:
        each is named with its owner.
    """
    changes = []
    for title, resource, manifest in resources(api, manifests):
        with explained(f"applying {title}"):
            before = live_object(resource, manifest)
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
    service = "SERVICE"
    for title, resource, manifest in resources(api, manifests):
        with explained(f"comparing {title}"):
            live = live_object(resource, manifest)
            owners: tuple[str, ...] = ()
            try:
                wanted = _server_side(resource, manifest, dry_run="All")
            except ConflictError as e:
                if not (conflicts := conflicts_of(e)):
                    raise
                if not force:
                    refused[title] = conflicts
                    labels = manifest["metadata"].get("labels") or {}
                    service = labels.get("app.kubernetes.io/part-of", service)
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
        raise conflicting("comparing what is live", told, service)
    return found


def resources(
    api: ApiClient, manifests: Iterable[Mapping[str, Any]]
) -> Iterator[tuple[str, Any, Mapping[str, Any]]]:
    """Give each manifest with its title, `Kind/name`, and the resource of the API that it belongs to."""
    from kubernetes.dynamic import DynamicClient

    with explained("discovering the cluster's APIs"):
        client = DynamicClient(api)
    for manifest in manifests:
        title = f"{manifest['kind']}/{manifest['metadata']['name']}"
        with explained(f"looking for the API of {title}"):
            resource = client.resources.get(api_version=manifest["apiVersion"], kind=manifest["kind"])
        yield title, resource, manifest


def live_object(resource: Any, manifest: Mapping[str, Any]) -> Any:
    """Give what is there under a manifest's name and namespace; None if nothing is."""
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
        # unknown fields and those given twice are refused, never dropped; the client has no word of its own for it
        query_params=[("fieldValidation", "Strict")],
        **options,
    )


_SERVERS_OWN = ("managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink")


def _plain(found: dict[str, Any]) -> list[str]:
    """Give an object as lines of YAML, without what the API server itself writes about it."""
    import yaml

    metadata = {key: value for key, value in found["metadata"].items() if key not in _SERVERS_OWN}
    rest = {key: value for key, value in found.items() if key not in ("metadata", "status")}
    text: str = yaml.safe_dump({**rest, "metadata": metadata}, default_flow_style=False, width=1000)
    return text.splitlines()
