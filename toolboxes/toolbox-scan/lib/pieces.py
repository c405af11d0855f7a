"""Files in pieces of text, so that a scanner of text sees all of each: also of what is binary, in UTF-16, or one long line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

# gitleaks reads 100 kB at a time and looks at each by itself: pieces are shorter, and overlap by more than a long key
PIECE, OVERLAP = 75_000, 16_000
# what rules of gitleaks ask of a file's name (`path = …` in its own configuration)
_ASKED = re.compile(r"(?i)(?:\.(?:php|tf|hcl|ya?ml|p12|pfx)|nuget\.config)$")


@dataclass(frozen=True)
class Piece:
    """A part of a file. ``first_line`` counts from 1; a line of what is no text says nothing."""

    data: bytes
    first_line: int
    is_text: bool


def suffix(name: str) -> str:
    """Give the end of a file's name that rules ask for; anything else in a name only ever leaves files out."""
    match = _ASKED.search(name)
    return match[0].lower() if match else ""


def of(stream: BinaryIO) -> Iterator[Piece]:
    """Give all of a stream; what has NUL bytes (UTF-16, compiled code) comes twice: without them, and with spaces instead."""
    stream.seek(0)
    data, line = stream.read(PIECE + OVERLAP), 1
    is_wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    while True:
        yield from _forms(data, line, is_wide)
        more = stream.read(PIECE)
        if not more:
            return
        cut = len(data) - OVERLAP
        line += data[:cut].count(b"\n")
        data = data[cut:] + more


def _forms(data: bytes, line: int, is_wide: bool) -> Iterator[Piece]:
    if b"\0" not in data:
        yield Piece(data, line, True)
        return
    yield Piece(data.replace(b"\0", b""), line, is_wide)
    yield Piece(data.replace(b"\0", b" "), line, is_wide)
