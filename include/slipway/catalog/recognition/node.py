"""What a Node project says: its lock, its scripts, and how it is started.

Which script is for which stage the toolbox decides by the same names (`toolboxes/toolbox-node/lib/node_project.py`); here it is
told what there is none for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

from slipway.catalog.recognition import starting
from slipway.catalog.recognition.findings import Files, Found, Guess

NPM_LOCKS = ("package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "yarn.lock")
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "compile": ("build", "compile"),
    "lint": ("lint",),
    "analyze": ("typecheck", "type-check", "check-types", "types", "tsc"),
    "unit": ("test:unit", "test"),
    "integration": ("test:integration", "test:int", "test:e2e"),
}
DESCRIBES = {"@fastify/swagger": "/documentation/json", "@nestjs/swagger": "/api-json"}
"""Packages that describe a service's API, and where each does by itself."""


def node(files: Files, today: date) -> Found:
    """Give what a repository says of a Node service."""
    found = Found()
    found.known["stack"] = Guess("node", "package.json")
    locks = [one for one in NPM_LOCKS if one in files]
    found.say("source.dependencies", [Guess({"runtime": one, "development": one}, one) for one in locks])
    told = _package(files)
    scripts = told.get("scripts")
    names = (
        {name for name, text in scripts.items() if "no test specified" not in str(text)}
        if isinstance(scripts, dict)
        else set()
    )
    _stages(files, found, names)
    found.say("scan.dynamic.command", list(starting.starts(files, lambda words: words)), needed=False)
    starting.port(files, found)
    _described(found, told, starting.database(files), today)
    return found


def _package(files: Files) -> dict[str, Any]:
    try:
        told = json.loads(files.text("package.json") or "{}")
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _stages(files: Files, found: Found, names: set[str]) -> None:
    for word, stage, none in (
        ("build.lint", "lint", "no linter is configured"),
        ("build.analyze", "analyze", "nothing checks its types"),
        ("test.unit", "unit", "no tests are written yet"),
        ("test.integration", "integration", "no integration tests are written yet"),
    ):
        there = next((one for one in SCRIPTS[stage] if one in names), None)
        if there:
            said: dict[str, Any] = {}
            because = f"script {there} in package.json"
            if stage == "integration" and (composed := starting.database(files)):
                said, because = {"database": True}, f"{because}, {composed}"
            found.known[word] = Guess(said, because)
        elif stage == "analyze" and "tsconfig.json" in files:
            found.known[word] = Guess({}, "tsconfig.json")
        else:
            names_ = " or ".join(SCRIPTS[stage])
            found.known[word] = Guess({"left_out": none}, f"no script {names_} in package.json")


def _described(found: Found, told: Mapping[str, Any], composed: str | None, today: date) -> None:
    """Say where the service describes its API; if nothing says so, that it cannot be tried by that."""
    tables = [told.get(one) for one in ("dependencies", "devDependencies")]
    names = {name for one in tables if isinstance(one, dict) for name in one}
    for package, path in DESCRIBES.items():
        if package in names:
            found.known["scan.dynamic.openapi"] = Guess(path, f"{package} in package.json")
            if composed:
                found.known["scan.dynamic.database"] = Guess(True, composed)
    if "scan.dynamic.openapi" not in found.known:
        starting.undescribed(found, "nothing in package.json describes its API (OpenAPI)", today)
    elif "scan.dynamic.command" not in found.known:
        starting.undescribed(found, "no command that starts it was seen", today)
