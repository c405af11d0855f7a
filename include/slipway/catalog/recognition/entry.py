"""The catalog's file of a service, as short as it can be, with the cause of each guess beside it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from slipway.catalog.recognition.findings import Found, Guess

PLAIN = re.compile(r"[A-Za-z./_][A-Za-z0-9 ./_-]*")
WORDS = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}


def flow(value: Any) -> str:
    """Give a value as YAML of one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case Mapping():
            return "{" + ", ".join(f"{flow(key)}: {flow(one)}" for key, one in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(flow, value)) + "]"
        case str() if PLAIN.fullmatch(value) and value == value.strip() and value.lower() not in WORDS:
            return value
    return json.dumps(value, ensure_ascii=False)


def entry(service: str, title: str, team: str, repository: str, config: str, found: Found) -> str:
    """Give the text of a service's file.

    :param found: what is known; nothing may be open any more.
    """
    assert not found.open

    def take(*words: str, under: str = "", **fixed: Guess) -> tuple[dict[str, Any], str]:
        named = {word: found.known.get(f"{under}{word}") or fixed.get(word) for word in words}
        values = {word: one.value for word, one in named.items() if one}
        return values, "; ".join(dict.fromkeys(one.because for one in named.values() if one and one.because))

    def line(indent: str, word: str, value: Any, because: str) -> str:
        return f"{indent}{word}: {flow(value)}" + (f"   # {because}" if because else "")

    nothing = "no manifests were seen" if "deploy.deployment" not in found.known else ""
    source, lock = take("path", "also", "dependencies", under="source.")
    manifests, folder = take("manifests", under="config.")
    dynamic, started = take(
        *("policy", "reason", "until", "command", "environment", "port", "openapi", "database"),
        under="scan.dynamic.",
    )
    stack = found.known.get("stack")
    deploy, deployed = take(
        *("namespace", "deployment", "container", "kinds"),
        under="deploy.",
        namespace=Guess(service, nothing),
        deployment=Guess(service, nothing),
        container=Guess("app", nothing),
        kinds=Guess(["ServiceAccount", "ConfigMap", "Service", "Deployment"], nothing),
    )
    health, asked = take(
        "service",
        "port",
        "ready",
        under="verify.health.",
        service=Guess(service, nothing),
        port=Guess(80, ""),
    )
    lines = [
        "# Written by `slipway new` from what the repository holds; words: docs/catalog.md. Check with `slipway lint`.",
        f"service: {service}",
        f"title: {flow(title)}",
        f"team: {team}",
        *([line("", "stack", stack.value, stack.because)] if stack else []),
        line("", "source", {"repository": repository, **source}, lock),
        line("", "config", {"repository": config, **manifests}, folder),
    ]
    for group, stages in (("build", ("lint", "analyze")), ("test", ("unit", "integration"))):
        lines.append(f"{group}:")
        for one in stages:
            guess = found.known[f"{group}.{one}"]
            lines.append(line("  ", one, guess.value, guess.because))
    lines += [
        "scan:",
        line("  ", "dynamic", dynamic, started),
        f"image: {{repository: {service}}}",
        line("", "deploy", deploy, deployed),
        "verify:",
        line("  ", "health", health, asked),
    ]
    return "\n".join(lines) + "\n"
