"""Which manifests a release may apply, and what it makes of them: pure, so that a refusal never depends on the cluster."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from slipway.errors import PolicyFailed
from slipway.release import policy

Manifest = dict[str, Any]

_MOST_VALUES = 100_000  # of one object, with all that its aliases repeat; etcd keeps 1.5 MB of it
# configuration first, what uses it last
_ORDER = ("ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment")


def load(
    files: Mapping[str, bytes],
    *,
    namespace: str,
    kinds: Iterable[str],
    released: tuple[str, str] | None = None,
) -> list[Manifest]:
    """Give the objects of ``files`` in the order in which they are applied, each in ``namespace``.

    :param files: content by path, as the config repository has them; other than .yaml and .yml files are left out.
    :param released: Deployment and container whose image the release puts in; see :func:`slipway.release.policy.check`.
    :raises PolicyFailed: naming file and object, if one is no object, of a kind the catalog does not allow, of another
        namespace, or says what the policy refuses; and if there is none at all.
    """
    allowed = sorted(kinds)
    objects: list[tuple[str, Manifest]] = []
    for path, content in sorted(files.items()):
        if not path.endswith((".yaml", ".yml")):
            continue
        try:
            documents = list(yaml.safe_load_all(content))
        # a date like 2026-13-01 is a ValueError, brackets within brackets without end are a RecursionError
        except (yaml.YAMLError, ValueError, RecursionError) as e:
            raise PolicyFailed(
                f"{path} is not valid YAML: {e}", remedy="correct it in the config repository"
            ) from e
        for document in documents:
            if document is None:
                continue
            if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
                raise PolicyFailed(
                    f"{path}: a document is no Kubernetes object", remedy="give kind and metadata"
                )
            if problem := _not_json(document):
                raise PolicyFailed(
                    f"{path}: a document is not what JSON can say: {problem}",
                    remedy="put text that YAML takes for something else in quotes",
                )
            kind, name = document.get("kind"), document["metadata"].get("name")
            if not isinstance(name, str):
                raise PolicyFailed(f"{path}: {kind} has no name", remedy="give metadata.name")
            if kind not in allowed:
                raise PolicyFailed(
                    f"{path}: kind {kind} ({name}) is not allowed here",
                    remedy=f"use one of {', '.join(allowed)}",
                )
            if document["metadata"].setdefault("namespace", namespace) != namespace:
                raise PolicyFailed(
                    f"{path}: {kind} {name} is for namespace {document['metadata']['namespace']}",
                    remedy=f"this service deploys to {namespace} only: leave the namespace out",
                )
            objects.append((path, document))
    if not objects:
        raise PolicyFailed(
            "the config repository has no manifests", remedy="see `config.manifests` in the catalog"
        )
    policy.check(objects, released=released)
    rank = {kind: i for i, kind in enumerate(_ORDER)}
    objects.sort(key=lambda item: (rank.get(item[1]["kind"], len(_ORDER)), item[1]["metadata"]["name"]))
    return [document for _, document in objects]


def _not_json(document: Manifest) -> str | None:
    """Give what of a document neither the API server nor the ledger could take; None if nothing.

    YAML says more than JSON: dates, keys that are no text, an alias that stands for a million values or for what holds it.
    """
    left, count = [(document, "")], 0
    while left:
        value, path = left.pop()
        if (count := count + 1) > _MOST_VALUES:
            return f"it has more than {_MOST_VALUES} values, each alias counted for all that it stands for"
        if isinstance(value, dict):
            for key, one in value.items():
                if not isinstance(key, str) or not _is_text(key):
                    return f"{path or 'at its top'} has the key {key!r}"
                left.append((one, f"{path}.{key}" if path else key))
        elif isinstance(value, list):
            left += [(one, f"{path}[{i}]") for i, one in enumerate(value)]
        elif not _is_scalar(value):
            return f"{path} is {repr(value)[:80]}"
    return None


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return value is None


def _is_text(value: str) -> bool:
    """Whether PostgreSQL and UTF-8 have it: no NUL, no half of a character."""
    return "\0" not in value and not any("\ud800" <= one <= "\udfff" for one in value)


def release_of(
    manifests: Iterable[Manifest], *, deployment: str, container: str, image: str, commit: str, service: str
) -> list[Manifest]:
    """Give copies in which ``container`` of ``deployment`` runs ``image``, and all say which release they are of.

    :raises PolicyFailed: if there is no such deployment or container, or the image of another is not pinned by digest.
    """
    result, found, unpinned = [], False, list[str]()
    for manifest in manifests:
        manifest = copy.deepcopy(manifest)
        title = f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            _mark(manifest, commit, service)
            for one in _containers(manifest):
                if manifest["metadata"]["name"] == deployment and one["name"] == container:
                    one["image"], found = image, True
                elif not policy.pinned(one.get("image")):
                    unpinned.append(f"{title}, container {one['name']}: image {one.get('image')}")
        except (KeyError, TypeError, AttributeError) as e:
            raise PolicyFailed(
                f"{title} has not the form of one: {type(e).__name__}: {e}",
                remedy="correct it in the config repository",
            ) from e
        result.append(manifest)
    if not found:
        raise PolicyFailed(
            f"no container {container} in a Deployment {deployment}",
            remedy="correct the manifests, or `deploy.deployment` and `deploy.container` in the catalog",
        )
    if unpinned:
        raise PolicyFailed(
            f"{unpinned[0]} is not pinned by digest",
            remedy=policy.PIN,
            lines=unpinned[1:],
        )
    return result


def inventory(manifests: Iterable[Manifest]) -> list[tuple[str, str, str]]:
    """Give kind, name and apiVersion of each object, sorted: what a release applies, to tell later what it does not any more."""
    return sorted((one["kind"], one["metadata"]["name"], one["apiVersion"]) for one in manifests)


def _mark(manifest: Manifest, commit: str, service: str) -> None:
    labels = manifest["metadata"].setdefault("labels", {})
    labels["app.kubernetes.io/managed-by"] = "slipway"
    labels["app.kubernetes.io/part-of"] = service
    if manifest["kind"] == "Deployment":
        for one in (manifest, manifest["spec"]["template"]):
            one.setdefault("metadata", {}).setdefault("annotations", {})["slipway/commit"] = commit


def _containers(manifest: Manifest) -> list[Manifest]:
    """Give the containers of a Deployment, initial ones first; none of another kind."""
    if manifest["kind"] != "Deployment":
        return []
    spec = manifest["spec"]["template"]["spec"]
    return [*(spec.get("initContainers") or []), *spec["containers"]]


def content_hash(value: Any) -> str:
    """Give a hash that is equal for equal content, whatever the order of keys."""
    if isinstance(value, Mapping):
        value = {
            str(k): (v.decode("utf-8", "surrogateescape") if isinstance(v, bytes) else v)
            for k, v in value.items()
        }
    return (
        "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8", "replace")).hexdigest()
    )
