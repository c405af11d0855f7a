"""What containers write, bounded: pushed code may write without end."""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Iterable, Iterator

from slipway.adapters.engine.refusals import APIClient, explained

LOG_HEAD, LOG_TAIL = 1_000_000, 200_000
"""Bytes of a container's output that are kept from its beginning and from its end: pushed code may write without end."""


def bounded(chunks: Iterable[bytes], head: int = LOG_HEAD, tail: int = LOG_TAIL) -> Iterator[bytes]:
    """Give an output's beginning and end, and between them how much was left out; whole characters in each chunk."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    given = held = left_out = 0
    kept: deque[bytes] = deque()
    for chunk in chunks:
        text = decode(chunk).encode()
        if given < head:
            given += len(text)
            yield text
            continue
        kept.append(text)
        held += len(text)
        while held - len(kept[0]) >= tail:
            left_out += len(kept[0])
            held -= len(kept.popleft())
    if left_out:
        yield f"\n… {left_out} bytes of output are left out here …\n".encode()
    yield from kept


def log_tail(client: APIClient, name: str, lines: int = 15) -> list[str]:
    """Give the last lines that a container wrote."""
    with explained(f"reading the log of {name}"):
        said = client.logs(name, tail=lines).decode(errors="replace")
    return [line for line in said.splitlines() if line.strip()]
