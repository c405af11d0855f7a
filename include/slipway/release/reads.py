"""What the pods of a Deployment read at their start, and whether a release replaces them: pure.

Pods go on with the ConfigMaps and Secrets that they started with. So that they are replaced when those change, the pod
template says what they read: of a ConfigMap of the release a hash of its content, of the Secret that is made from Vault the
version there. Never a hash of a secret: whoever may see pods could try words against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from slipway.release.plan import digest

ANNOTATION = "slipway/reads"

_MARKS = (ANNOTATION, "slipway/commit")


def references(manifest: Mapping[str, Any]) -> set[str]:
    """Give the ConfigMaps and Secrets that the pods of a Deployment read: `ConfigMap/name`, `Secret/name`."""
    if manifest["kind"] != "Deployment":
        return set()
    pod = _pod(manifest)
    return {
        f"{kind}/{name}"
        for kind, name in (*_of_containers(pod), *_of_volumes(pod))
        if isinstance(name, str) and name
    }


def _pod(manifest: Mapping[str, Any]) -> Any:
    return _in(manifest, "spec", "template", "spec")


def _in(found: Any, *path: str) -> Any:
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _each(found: Any, *path: str) -> list[Any]:
    items = _in(found, *path)
    return items if isinstance(items, list) else []


def _of_containers(pod: Any) -> Iterable[tuple[str, Any]]:
    for container in (*_each(pod, "initContainers"), *_each(pod, "containers")):
        for one in _each(container, "env"):
            yield "ConfigMap", _in(one, "valueFrom", "configMapKeyRef", "name")
            yield "Secret", _in(one, "valueFrom", "secretKeyRef", "name")
        for one in _each(container, "envFrom"):
            yield "ConfigMap", _in(one, "configMapRef", "name")
            yield "Secret", _in(one, "secretRef", "name")


def _of_volumes(pod: Any) -> Iterable[tuple[str, Any]]:
    for volume in _each(pod, "volumes"):
        for one in (volume, *_each(volume, "projected", "sources")):
            yield "ConfigMap", _in(one, "configMap", "name")
            yield "Secret", _in(one, "secret", "secretName")
            yield "Secret", _in(one, "secret", "name")


def known(manifests: Iterable[Mapping[str, Any]], secrets: Mapping[str, str]) -> dict[str, str]:
    """Give what a release knows of what pods may read: a hash for each of its ConfigMaps, and the versions of its Secrets.

    :param secrets: by name, which version of Vault's they are made from.
    """
    found = {f"Secret/{name}": version for name, version in secrets.items()}
    for one in manifests:
        if one["kind"] == "ConfigMap":
            content = {key: one[key] for key in ("data", "binaryData") if one.get(key)}
            found[f"ConfigMap/{one['metadata']['name']}"] = digest(content)
    return found


def words_of(manifest: Mapping[str, Any], known: Mapping[str, str]) -> str | None:
    """Give what the annotation of a Deployment's pods says; None if they read nothing that is known."""
    read = {name: known[name] for name in sorted(references(manifest)) if name in known}
    return json.dumps(read) if read else None


def recorded(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Give what a Deployment says that its pods read; nothing if it was applied before that was said."""
    said = _in(manifest, "spec", "template", "metadata", "annotations", ANNOTATION)
    return dict(json.loads(said)) if isinstance(said, str) else {}


def of_secret(manifests: Iterable[Mapping[str, Any]], name: str | None) -> str | None:
    """Give the version of a Secret that pods were started with; None if none says it."""
    said = [recorded(one).get(f"Secret/{name}") for one in manifests if one["kind"] == "Deployment"]
    return next(filter(None, said), None)


def pods(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]], known: Iterable[str]
) -> list[str]:
    """Give for each Deployment in words whether a release replaces its pods, and what they read that nobody watches.

    :param before: the manifests of the release that is deployed.
    :param known: what the release knows of what pods may read.
    """
    old, watched = {_title(one): one for one in before}, set(known)
    said = []
    for one in after:
        if one["kind"] == "Deployment":
            said.append(f"{_title(one)}: {_fate(old.get(_title(one)), one)}")
            said += [
                f"{_title(one)}: a change of {other} alone would replace no pod: it is not of this release"
                for other in sorted(references(one) - watched)
            ]
    return said


def _title(manifest: Mapping[str, Any]) -> str:
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def _fate(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> str:
    if before is None:
        return "pods are made"
    was, now = (_in(one, "spec", "template") for one in (before, after))
    if was == now:
        return "pods stay: nothing that they run with is another"
    return f"pods are replaced: {', '.join(_reasons(before, after))}"


def _reasons(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    was, now = recorded(before), recorded(after)
    reasons = [
        f"{name} {'changed' if name in was and name in now else 'is read now' if name in now else 'is read no more'}"
        for name in sorted({*was, *now})
        if was.get(name) != now.get(name)
    ]
    commits = [
        _in(one, "spec", "template", "metadata", "annotations", "slipway/commit") for one in (before, after)
    ]
    if commits[0] != commits[1]:
        reasons.insert(0, f"commit {str(commits[1])[:12]}")
    if _unmarked(before) != _unmarked(after):
        reasons.append("their template or image changed")
    return reasons or ["their template changed"]


def _unmarked(manifest: Mapping[str, Any]) -> Any:
    template = json.loads(json.dumps(_in(manifest, "spec", "template")))
    notes = _in(template, "metadata", "annotations")
    for mark in _MARKS if isinstance(notes, dict) else ():
        notes.pop(mark, None)
    return template
