"""Which manifests a release may apply, and what it makes of them: pure, so that a refusal never depends on the cluster."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from slipway import strict_yaml
from slipway.errors import PolicyFailed
from slipway.release import policy, reads
from slipway.strict_yaml import Document, NotRead, Place, spelled

Manifest = dict[str, Any]

# configuration first, what uses it last
_ORDER = ("ServiceAccount", "ConfigMap", "Secret", "Service", "Deployment")
_SUFFIXES = (".yaml", ".yml", ".json")
# Mappings of people's own words to text: there an empty value is more likely a slip than nothing at all.
_TEXTS = frozenset({"data", "binaryData", "labels", "annotations", "matchLabels", "nodeSelector"})
_OWN_WORDS = _TEXTS | {"requests", "limits"}

_KUSTOMIZE = "Kustomize is not run here: commit what `kustomize build` gives, and keep this file out of `config.manifests`"
_HELM = (
    "Helm is not run here: commit what `helm template` gives, and keep this file out of `config.manifests`"
)


def load(
    files: Mapping[str, bytes],
    *,
    namespace: str,
    kinds: Iterable[str],
    released: tuple[str, str] | None = None,
) -> list[Manifest]:
    """Give the objects of ``files`` in the order in which they are applied, each in ``namespace``.

    They are read as Kubernetes reads them: what is null is absent, a List stands for its items, dates are text. What it
    would take in silence is refused: a key that is there twice, a word that readers of YAML understand differently.

    :param files: content by path, as the config repository has them; other than .yaml, .yml and .json files are left out.
    :param released: Deployment and container whose image the release puts in; see :func:`slipway.release.policy.check`.
    :raises PolicyFailed: naming file, line and object, if one is no object, of a kind the catalog does not allow, of another
        namespace, or says what the policy refuses; if a file is one of Kustomize or Helm; and if there is none at all.
    """
    _refuse_other_tools(files)
    allowed = sorted(kinds)
    objects: list[tuple[str, Manifest]] = []
    for path, content in sorted(files.items()):
        if not path.lower().endswith(_SUFFIXES):
            continue
        for document in _documents(path, content):
            _prepare(path, document)
            for place, one in _unfolded(path, document):
                at = f"{path}:{document.at(place)[0]}"
                _object(at, place, one, namespace, allowed)
                objects.append((at, one))
    if not objects:
        raise PolicyFailed(
            "the config repository has no manifests",
            code="manifest.none",
            remedy="see `config.manifests` in the catalog",
        )
    policy.check(objects, released=released)
    rank = {kind: i for i, kind in enumerate(_ORDER)}
    objects.sort(key=lambda item: (rank.get(item[1]["kind"], len(_ORDER)), item[1]["metadata"]["name"]))
    return [document for _, document in objects]


def _refuse_other_tools(files: Iterable[str]) -> None:
    """Refuse the files of tools that would make other manifests of these than what is written."""
    found = [(path, tool) for path in sorted(files) if (tool := _tool(PurePosixPath(path)))]
    if found:
        first, (name, remedy) = found[0]
        raise PolicyFailed(
            f"{first} is a file of {name}, not a manifest",
            code="manifest.of-other-tool",
            remedy=remedy,
            lines=[f"{path} is a file of {tool[0]}" for path, tool in found[1:]],
        )


def _tool(path: PurePosixPath) -> tuple[str, str] | None:
    name = path.name
    if name in ("kustomization.yaml", "kustomization.yml", "Kustomization"):
        return "Kustomize", _KUSTOMIZE
    is_values = path.suffix in (".yaml", ".yml") and name.split(".")[0].split("-")[0] == "values"
    if name in ("Chart.yaml", "Chart.lock", ".helmignore", "NOTES.txt") or path.suffix == ".tpl" or is_values:
        return "Helm", _HELM
    return None


def _documents(path: str, content: bytes) -> list[Document]:
    if path.lower().endswith(".json"):
        # YAML has all of JSON but for tabs between its words; within them JSON has none
        content = content.replace(b"\t", b" ")
    try:
        return strict_yaml.documents(content, strict_yaml.MANIFEST)
    except NotRead as e:
        at = f"{path}:{e.line}:{e.column}" if e.line else path
        lines = content.decode("utf-8", "replace").splitlines()
        is_template = bool(e.line) and "{{" in "\n".join(lines[e.line - 1 : e.line + 1])
        raise PolicyFailed(
            f"{at} cannot be read as a manifest: {e.said}",
            code="manifest.unreadable",
            remedy=_HELM if is_template else "correct it in the config repository",
        ) from e


def _prepare(path: str, document: Document) -> None:
    """Drop what is null, as the API server does, in place.

    :raises PolicyFailed: for an item of a list that is null, an entry of people's own words that is, and one that is no text.
    """
    left: list[tuple[Place, Any]] = [((), document.value)]
    while left:
        place, value = left.pop()
        if isinstance(value, dict):
            within = str(place[-1]) if place else ""
            for key, one in list(value.items()):
                inner = (*place, key)
                if one is None and within in _OWN_WORDS:
                    raise PolicyFailed(
                        f"{_at(path, document, inner)} is empty",
                        code="manifest.text-empty",
                        remedy='write "" for an empty text, or leave it out',
                    )
                if one is None:
                    del value[key]
                elif within in _TEXTS and not isinstance(one, str):
                    raise PolicyFailed(
                        f"{_at(path, document, inner)} is {json.dumps(one)[:80]} rather than text",
                        code="manifest.text-expected",
                        remedy="write the value in quotes",
                    )
                else:
                    left.append((inner, one))
        elif isinstance(value, list):
            for at, one in enumerate(value):
                if one is None:
                    raise PolicyFailed(
                        f"{_at(path, document, (*place, at))} is empty",
                        code="manifest.item-empty",
                        remedy="give the item, or leave it out",
                    )
                left.append(((*place, at), one))


def _at(path: str, document: Document, place: Place) -> str:
    return f"{path}:{document.at(place)[0]}: {spelled(place) or 'the document'}"


def _unfolded(path: str, document: Document) -> Iterator[tuple[Place, Any]]:
    """Give the objects of a document with their places: of a List its items, in their order."""
    left: list[tuple[Place, Any]] = [((), document.value)]
    while left:
        place, one = left.pop()
        kind = one.get("kind") if isinstance(one, dict) else None
        if not isinstance(kind, str) or not kind.endswith("List"):
            yield place, one
            continue
        if more := sorted(set(one) - {"apiVersion", "kind", "metadata", "items"}):
            raise PolicyFailed(
                f"{_at(path, document, (*place, more[0]))} is no field of a {kind}",
                code="manifest.list-field-unknown",
                remedy="give its objects as `items`",
            )
        items = one.get("items") or []
        if not isinstance(items, list):
            raise PolicyFailed(
                f"{_at(path, document, (*place, 'items'))} is not a list",
                code="manifest.items-not-a-list",
                remedy="give the objects, each after `- `",
            )
        # the API server leaves out of a list's items what the list says for all
        said = (
            {"apiVersion": one.get("apiVersion"), "kind": kind.removesuffix("List")} if kind != "List" else {}
        )
        said = {key: value for key, value in said.items() if value is not None}
        left += reversed(
            [
                ((*place, "items", at), {**said, **item} if isinstance(item, dict) else item)
                for at, item in enumerate(items)
            ]
        )


def _object(at: str, place: Place, one: Any, namespace: str, allowed: list[str]) -> None:
    """Refuse what is no object that the catalog allows; put it into the namespace."""
    where = f"{at}: {spelled(place) or 'the document'}"
    if not isinstance(one, dict) or not isinstance(one.get("kind"), str):
        raise PolicyFailed(
            f"{where} is no Kubernetes object: it has no kind",
            code="manifest.kind-missing",
            remedy="give apiVersion, kind and metadata.name, or keep the file out of `config.manifests`",
        )
    kind, metadata = one["kind"], one.get("metadata")
    if str(one.get("apiVersion")).startswith("kustomize.config.k8s.io/"):
        raise PolicyFailed(
            f"{where} is one of Kustomize, not a manifest", code="manifest.of-kustomize", remedy=_KUSTOMIZE
        )
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if not isinstance(metadata, dict) or not isinstance(name, str) or not name:
        raise PolicyFailed(
            f"{where} ({kind}) has no name",
            code="manifest.name-missing",
            remedy="give metadata.name, as text",
        )
    if kind not in allowed:
        raise PolicyFailed(
            f"{at}: kind {kind} ({name}) is not allowed here",
            code="manifest.kind-not-allowed",
            remedy=f"use one of {', '.join(allowed)}",
        )
    if metadata.setdefault("namespace", namespace) != namespace:
        raise PolicyFailed(
            f"{at}: {kind} {name} is for namespace {policy.short(metadata['namespace'])}",
            code="manifest.namespace-foreign",
            remedy=f"this service deploys to {namespace} only: leave the namespace out",
        )


def release_of(
    manifests: Iterable[Manifest],
    *,
    deployment: str,
    container: str,
    image: str,
    commit: str,
    service: str,
    secrets: Mapping[str, str] = MappingProxyType({}),
) -> list[Manifest]:
    """Give copies in which ``container`` of ``deployment`` runs ``image``, and all say which release they are of.

    Pods say what they read, too, so that they are replaced when it is another; see :mod:`slipway.release.reads`.

    :param secrets: the Secrets that the release makes, by name, each with the version in Vault.
    :raises PolicyFailed: if there is no such deployment or container, or the image of another is not pinned by digest.
    """
    result, found, unpinned = [], False, list[str]()
    manifests = list(manifests)
    known = reads.known(manifests, secrets)
    for manifest in manifests:
        manifest = copy.deepcopy(manifest)
        title = f"{manifest['kind']} {manifest['metadata']['name']}"
        _mark(manifest, commit, service, known)
        for one in containers(manifest):
            if manifest["metadata"]["name"] == deployment and one.get("name") == container:
                one["image"], found = image, True
            elif not policy.pinned(one.get("image")):
                unpinned.append(f"{title}, container {one.get('name')}: image {one.get('image')}")
        result.append(manifest)
    if not found:
        raise PolicyFailed(
            f"no container {container} in a Deployment {deployment}",
            code="manifest.container-missing",
            remedy="correct the manifests, or `deploy.deployment` and `deploy.container` in the catalog",
        )
    if unpinned:
        raise PolicyFailed(
            f"{unpinned[0]} is not pinned by digest",
            code="manifest.image-unpinned",
            remedy=policy.PIN,
            lines=unpinned[1:],
        )
    return result


def inventory(manifests: Iterable[Manifest]) -> list[tuple[str, str, str]]:
    """Give kind, name and apiVersion of each object, sorted: what a release applies, to tell later what it does not any more."""
    return sorted((one["kind"], one["metadata"]["name"], one["apiVersion"]) for one in manifests)


def _mark(manifest: Manifest, commit: str, service: str, known: Mapping[str, str]) -> None:
    labels = within(manifest, "metadata", "labels")
    labels["app.kubernetes.io/managed-by"] = "slipway"
    labels["app.kubernetes.io/part-of"] = service
    if manifest["kind"] == "Deployment":
        for path in (("metadata",), ("spec", "template", "metadata")):
            within(manifest, *path, "annotations")["slipway/commit"] = commit
        notes = within(manifest, "spec", "template", "metadata", "annotations")
        notes.pop(reads.ANNOTATION, None)  # of a manifest that was copied from the cluster
        if words := reads.words_of(manifest, known):
            notes[reads.ANNOTATION] = words


def within(manifest: Manifest, *path: str) -> dict[str, Any]:
    """Give the mapping at a path, made if there is none.

    :raises PolicyFailed: if something else is there.
    """
    found = manifest
    for depth, key in enumerate(path, 1):
        inner = found.setdefault(key, {})
        if not isinstance(inner, dict):
            raise PolicyFailed(
                f"{manifest['kind']} {manifest['metadata']['name']}: {'.'.join(path[:depth])} is not a mapping",
                code="manifest.not-a-mapping",
                remedy="give names and values below it",
            )
        found = inner
    return found


def containers(manifest: Manifest) -> list[Manifest]:
    """Give the containers of a Deployment, initial ones first; none of another kind.

    :raises PolicyFailed: if something else than containers is there.
    """
    if manifest["kind"] != "Deployment":
        return []
    pod = within(manifest, "spec", "template", "spec")
    return [one for field in ("initContainers", "containers") for one in _sequence(manifest, pod, field)]


def _sequence(manifest: Manifest, pod: dict[str, Any], field: str) -> list[Manifest]:
    found = pod.get(field) or []
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise PolicyFailed(
            f"{manifest['kind']} {manifest['metadata']['name']}: spec.template.spec.{field} is not a list of mappings",
            code="manifest.not-a-list-of-mappings",
            remedy="give its items below it, each after `- `",
        )
    return found


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
