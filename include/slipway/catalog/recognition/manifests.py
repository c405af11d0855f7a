"""What Kubernetes manifests say: the Deployment that is released, its container, its Service and its health."""

from __future__ import annotations

from typing import Any, get_args

from slipway.catalog.recognition.findings import Files, Found, Guess
from slipway.catalog.service import Kind
from slipway.strict_yaml import MANIFEST, NotRead, documents

FOLDERS = ("manifests", "k8s", "kubernetes", "deploy", "deployment", ".")


def deployment(files: Files) -> Found:
    """Give what the manifests of a repository say of the catalog's `config`, `deploy` and `verify`."""
    found = Found()
    objects = {
        path: some for path in files.matching("*.yaml", "*.yml") if (some := _objects(files.text(path)))
    }
    folder = next(
        (one for one in FOLDERS if any(path.startswith(f"{one}/") or one == "." for path in objects)), None
    )
    if folder is None:
        return found
    there = {
        p: some
        for p, some in objects.items()
        if (folder == "." and "/" not in p) or p.startswith(f"{folder}/")
    }
    if folder != ".":
        found.known["config.manifests"] = Guess(folder, f"{folder}/")
    listed = [(path, one) for path, some in there.items() for one in some]
    deployments = [(path, one) for path, one in listed if one["kind"] == "Deployment"]
    found.say("deploy.deployment", [Guess(_name(one), path) for path, one in deployments])
    kinds = sorted({one["kind"] for _, one in listed} & set(get_args(Kind)), key=get_args(Kind).index)
    found.known["deploy.kinds"] = Guess(kinds, f"{folder}/")
    if len(deployments) == 1:
        _of_deployment(found, *deployments[0])
    services = [(path, one) for path, one in listed if one["kind"] == "Service"]
    found.say("verify.health.service", [Guess(_name(one), path) for path, one in services], needed=False)
    if len(services) == 1:
        ports = _list(_at(services[0][1], "spec", "ports"))
        found.say(
            "verify.health.port",
            [Guess(one["port"], services[0][0]) for one in ports if isinstance(one.get("port"), int)],
            needed=False,
        )
    return found


def _of_deployment(found: Found, path: str, one: dict[str, Any]) -> None:
    if namespace := _at(one, "metadata", "namespace"):
        found.known["deploy.namespace"] = Guess(namespace, path)
    containers = _list(_at(one, "spec", "template", "spec", "containers"))
    found.say("deploy.container", [Guess(each["name"], path) for each in containers if "name" in each])
    probes = [_at(each, "readinessProbe", "httpGet", "path") for each in containers]
    found.say(
        "verify.health.ready",
        [Guess(each, f"readinessProbe in {path}") for each in probes if each],
        needed=False,
    )


def _objects(text: str) -> list[dict[str, Any]]:
    try:
        found = [one.value for one in documents(text.encode(), MANIFEST)]
    except NotRead:
        return []  # a template, or nothing of Kubernetes
    return [
        one
        for one in found
        if isinstance(one, dict) and "apiVersion" in one and isinstance(one.get("kind"), str)
    ]


def _name(one: dict[str, Any]) -> str:
    return str(_at(one, "metadata", "name"))


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _at(value: Any, *place: str) -> Any:
    for part in place:
        value = value.get(part) if isinstance(value, dict) else None
    return value
