"""What a service's answer lacks of what its catalog entry wants of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jsonpointer import JsonPointerException, resolve_pointer

if TYPE_CHECKING:
    from slipway.catalog.service import Check

SHORT = 7
"""Digits of a commit that name it at least: what git abbreviates to."""

_NOTHING = object()


def unmet(check: Check, status: int, body: bytes) -> str | None:
    """Give in words what an answer lacks; None if it is as wanted."""
    if status != check.status:
        said = body[:200].decode(errors="replace")
        wanted = "" if check.status == 200 else f", and not {check.status}:"
        return f"{check.path} answers {status}{wanted} {said}"
    for pointer, value in check.holds.items():
        found = at(body, pointer)
        # True is 1 in Python, and is not in JSON
        if type(found) is not type(value) or found != value:
            told = "nothing" if found is _NOTHING else json.dumps(found)[:200]
            return f"{check.path} has {told} at {pointer}, and not {json.dumps(value)}"
    return None


def at(body: bytes, pointer: str) -> Any:
    """Give what a body in JSON has at a pointer; an object of its own if that is nothing."""
    try:
        return resolve_pointer(json.loads(body), pointer)
    except (ValueError, JsonPointerException, RecursionError):
        return _NOTHING


def is_commit(body: bytes, pointer: str, commit: str) -> bool:
    """Tell whether a body in JSON names a commit, in full or by its first digits."""
    found = at(body, pointer)
    return isinstance(found, str) and len(found) >= SHORT and commit.startswith(found)


def named(body: bytes, pointer: str) -> str | None:
    """Give which commit a body names, for a message; None if none."""
    found = at(body, pointer)
    return None if found is _NOTHING else str(found)[:100]
