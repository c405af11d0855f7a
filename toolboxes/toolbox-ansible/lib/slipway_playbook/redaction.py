"""Keeps values out of text, in the forms that Ansible and Kubernetes write them in."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

HIDDEN = "********"
ANYWHERE = 4
"""From so many characters on a value is hidden inside of words, too; a shorter one would take half the text with it."""


class Redaction:
    """Replaces every text and number of `variables`, however deep it lies. Truth values and null are no secrets."""

    def __init__(self, variables: object) -> None:
        forms = {form for value in _values(variables) for form in _forms(value)}
        parts = [
            re.escape(form) if len(form) >= ANYWHERE else rf"(?<!\w){re.escape(form)}(?!\w)"
            for form in sorted(forms, key=lambda form: (-len(form), form))
        ]
        self._pattern = re.compile("|".join(parts)) if parts else None

    def __call__(self, text: str) -> str:
        return self._pattern.sub(HIDDEN, text) if self._pattern else text


def _values(variable: object) -> Iterator[str]:
    if isinstance(variable, dict):
        for part in variable.values():
            yield from _values(part)
    elif isinstance(variable, list):
        for part in variable:
            yield from _values(part)
    elif isinstance(variable, str):
        yield variable
    elif isinstance(variable, (int, float)) and not isinstance(variable, bool):
        yield str(variable)


def _forms(value: str) -> Iterator[str]:
    """A value, each line of it (a diff shows lines), escaped once and twice, and in base64 as Secrets hold it."""
    for text in {value, value.strip(), *map(str.strip, value.splitlines())}:
        if not text:
            continue
        written = {text}
        for _ in range(2):
            written |= {
                json.dumps(one, ensure_ascii=plain)[1:-1] for one in written for plain in (True, False)
            }
        yield from written
        yield from (
            repr(text)[1:-1],
            text.replace("'", "''"),
            quote(text, safe=""),
            quote(text),
            quote_plus(text),
        )
    yield from _base64(value.encode())
    yield from _base64(value.encode() + b"\n")


def _base64(value: bytes) -> Iterator[str]:
    """Give what is the same wherever the value lies in an encoded text: three bytes become four characters."""
    yield base64.b64encode(value).decode()
    if len(value) < 6:
        return
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + value).decode()
        # the characters at either end hold bits of what is around the value
        yield encoded[(0, 2, 3)[before] : len(value + b"\0" * before) * 8 // 6]
