"""How a run ends: exit code, and a result that fits into a pod's termination message."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

DONE, SERVICE, INFRASTRUCTURE = 0, 1, 3
LIMIT = 4000  # bytes; the kubelet keeps 4096 of a termination message
TEXT = 1200  # characters of one text
# Lists that may be cut, and whether their end is what matters.
LISTS = {
    "applied": True,
    "pending": False,
    "left": False,
    "lint": False,
    "callbacks": False,
    "left_out": False,
}


class Failed(Exception):
    """Why nothing more is done.

    :param why: one line for a person
    :param statement: the SQL statement that failed
    """

    code = SERVICE

    def __init__(self, why: str, statement: str | None = None) -> None:
        super().__init__(why)
        self.why, self.statement = why, statement


class ServiceFailed(Failed):
    """The changelog's own fault."""


class Unavailable(Failed):
    """What it works with is away, refuses, or is held by somebody: the same changelog may pass later."""

    code = INFRASTRUCTURE


def shortened(text: str, limit: int = TEXT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def packed(result: Mapping[str, Any], limit: int = LIMIT) -> str:
    """Give the result as JSON; as `z:` + base64(zlib(JSON)) where that is too long; with shorter lists where that is, too."""
    fitting = {name: _bounded(value) for name, value in result.items()}
    while True:
        text = json.dumps(fitting, separators=(",", ":"))
        if len(text) <= limit:
            return text
        text = "z:" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
        if len(text) <= limit:
            return text
        lists = {name: value for name, value in fitting.items() if name in LISTS and value}
        if lists:
            longest = max(lists, key=lambda name: len(json.dumps(lists[name])))
            kept = len(lists[longest]) * 3 // 4
            fitting[longest] = _cut(lists[longest], kept, LISTS[longest])
        else:
            fitting = {name: _bounded(value, 200) for name, value in fitting.items()}
            limit = max(limit, len(json.dumps(fitting)))


def _cut(entries: Sequence[Any], kept: int, from_the_end: bool) -> list[Any]:
    if not kept:
        return []
    return list(entries[-kept:] if from_the_end else entries[:kept])


def _bounded(value: Any, limit: int = TEXT) -> Any:
    if isinstance(value, str):
        return shortened(value, limit)
    if isinstance(value, list):
        return [_bounded(one, 300) for one in value]
    if isinstance(value, dict):
        return {name: _bounded(one, 300) for name, one in value.items()}
    return value
