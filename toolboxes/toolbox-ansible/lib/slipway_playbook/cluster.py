"""What the modules of kubernetes.core tell: objects, diffs of them, and the API server's words."""

from __future__ import annotations

import json
import re
from typing import Any

_AWAY = re.compile(
    r"max retries exceeded|connection (?:refused|reset|aborted)|remote end closed connection|no route to host"
    r"|network is unreachable|name or service not known|temporary failure in name resolution"
    r"|(?:connect|connection|read|handshake operation) timed out|connecttimeout|readtimeout"
    r"|\"code\": ?(?:401|429|5\d\d)\b|^\((?:401|429|5\d\d)\)|reason: (?:unauthorized|service unavailable)"
    r"|user \\*\"[^\"]+\" cannot "
    r"|invalid kube-config file\. no configuration found",
    re.IGNORECASE,
)
"""A server that does not answer, or answers that it cannot, or that the account lacks a right: one that has just started
refuses everybody until it has read its roles. Other 403 (a quota, a policy) and 422 are answers to what the playbook asks for.
"""

_STATUS = re.compile(r"(?:b')?(\{\"kind\": ?\"Status\".*\})'?", re.DOTALL)
_HEADERS = re.compile(
    r"\s*HTTP response headers: HTTPHeaderDict\(.*?\)(?=\s)|\s*Original traceback:.*", re.DOTALL
)
_GIVEN = ("name", "namespace", "labels", "annotations")
_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def is_away(message: str) -> bool:
    """Whether a failure says that a server does not answer, or cannot."""
    return bool(_AWAY.search(message))


def in_short(message: str) -> str:
    """Give a message with the API server's own words instead of its whole answer."""
    message = _HEADERS.sub("", message)
    if match := _STATUS.search(message):
        try:
            said = json.loads(match[1]).get("message")
        except ValueError:
            said = None
        if said:
            return f"{message[: match.start()]}{said}{message[match.end() :]}"
    return message


def diff(result: dict[str, Any]) -> Any:
    """Give the diff of a module's result, without what the server counts up itself, and without what a Secret holds.

    An object that is not there yet has none, so that it is shown as it will be.
    """
    given, made = result.get("diff"), result.get("result")
    if not isinstance(made, dict) or not isinstance(made.get("kind"), str):
        return given
    if not given and result.get("method") == "create":
        given = {"before": {}, "after": made}
    if not isinstance(given, dict):
        return given
    secret = made["kind"] == "Secret"
    sides = [_meant(given.get(side), secret) for side in ("before", "after")]
    if secret and sides[0] == sides[1] and given.get("before") != given.get("after"):
        return {"prepared": "(what the Secret holds changes; it is not shown)"}
    return {**given, "before": sides[0], "after": sides[1]}


def _meant(side: Any, secret: bool) -> Any:
    if not isinstance(side, dict):
        return None if secret else side
    kept = {key: value for key, value in side.items() if key not in ("status", "metadata")}
    metadata = side.get("metadata")
    if isinstance(metadata, dict) and (given := {key: metadata[key] for key in _GIVEN if key in metadata}):
        if isinstance(given.get("annotations"), dict):
            given["annotations"] = {k: v for k, v in given["annotations"].items() if k != _APPLIED}
        kept["metadata"] = given
    return {key: value for key, value in kept.items() if not secret or key not in ("data", "stringData")}
