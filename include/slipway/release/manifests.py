"""Which manifests a release may apply, and what it makes of them: pure, so that a refusal never depends on the cluster."""

from __future__ import annotations

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from slipway.errors import PolicyFailed

Manifest = dict[str, Any]

_PINNED = re.compile(r"@sha256:[0-9a-f]{64}$")
# configuration first, what uses it last
_ORDER = ("ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment")


def load(files: Mapping[str, bytes], *, namespace: str, kinds: Iterable[str]) -> list[Manifest]:
    """Give the objects of ``files`` in the order in which they are applied, each in ``namespace``.

    :param files: content by path, as the config repository has them; other than .yaml and .yml files are left out.
    :raises PolicyFailed: naming file and object, if one is no object, of a kind the catalog does not allow, or of
        another namespace; and if there is none at all.
    """
    allowed = sorted(kinds)
    objects: list[tuple[str, Manifest]] = []
    for path, content in sorted(files.items()):
        if not path.endswith((".yaml", ".yml")):
            continue
        try:
            documents = list(yaml.safe_load_all(content))
        except (yaml.YAMLError, UnicodeDecodeError) as e:
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
    rank = {kind: i for i, kind in enumerate(_ORDER)}
    objects.sort(key=lambda item: (rank.get(item[1]["kind"], len(_ORDER)), item[1]["metadata"]["name"]))
    return [document for _, document in objects]


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
                elif not _PINNED.search(str(one.get("image"))):
                    unpinned.append(f"container {one['name']} of {title}: image {one.get('image')}")
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
            remedy="write it as name@sha256:…, so that what was looked at is what runs",
            lines=unpinned[1:],
        )
    return result


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
