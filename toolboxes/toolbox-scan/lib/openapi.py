"""A service's OpenAPI description, as far as an attack by it needs to know (https://spec.openapis.org/oas/latest.html)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

METHODS = ("get", "put", "post", "delete", "patch", "head", "options", "trace")


def _operations(description: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in description["paths"].items():
        if isinstance(item, dict):
            for method, operation in item.items():
                if method in METHODS and isinstance(operation, dict):
                    yield f"{method.upper()} {path}", operation


def operations(description: Mapping[str, Any]) -> list[str]:
    """Give the names of the operations, such as `GET /things/{n}`."""
    return [name for name, _ in _operations(description)]


def sign_in(description: Mapping[str, Any]) -> list[str]:
    """Give the operations that nobody may use without signing in, and write into each that it may answer so."""
    found = []
    for name, operation in _operations(description):
        wanted = operation.get("security", description.get("security"))
        if isinstance(wanted, list) and wanted and all(wanted):  # `{}` among them: also without
            found.append(name)
            answers = operation.setdefault("responses", {})
            if isinstance(answers, dict):
                for code in ("401", "403"):
                    answers.setdefault(code, {"description": "not signed in, or not allowed"})
    return found


def base_path(description: Mapping[str, Any]) -> str:
    """Give the path below which the operations are; whatever host the description names, the service is here."""
    servers = description.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else {}
    url = first.get("url", "") if isinstance(first, dict) else ""
    path = urlsplit(str(url)).path if "{" not in str(url) else ""
    return (path or str(description.get("basePath") or "")).rstrip("/")


def answers(events: Path) -> dict[str, set[int]]:
    """Give the status codes that each operation answered, by schemathesis' report of its events."""
    found: dict[str, set[int]] = defaultdict(set)
    with events.open(encoding="utf-8") as lines:
        for line in lines:
            recorder = json.loads(line).get("ScenarioFinished", {}).get("recorder") or {}
            method = str(recorder.get("label", "")).partition(" ")[0]
            for id_, one in (recorder.get("interactions") or {}).items():
                case = (recorder.get("cases") or {}).get(id_, {}).get("value", {})
                if (
                    one.get("response") and case.get("method", method) == method
                ):  # not what another method answered
                    found[recorder["label"]].add(int(one["response"]["status_code"]))
    return dict(found)
