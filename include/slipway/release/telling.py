"""Which of the lines that a tool wrote says why it failed: often not the last."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LIQUIBASE = re.compile(r"Unexpected error running Liquibase: (.+)")
_ANSIBLE = re.compile(r"(?:fatal|failed): \[.*")


def telling(lines: Sequence[str]) -> str:
    """Give the line of `lines` that says why a tool failed: of Liquibase, of Ansible, or else the last."""
    said = [line.strip() for line in lines]
    for at, line in enumerate(said):
        if match := _LIQUIBASE.match(line):
            why = match[1].rstrip()
            if not why.endswith(":"):
                return why
            # then the changeset or the database's words follow; a reader that leaves out what it has read already has
            # them where Liquibase said the same first
            places = [at, *(n for n, other in enumerate(said[:at]) if other.endswith(why))]
            more = next(filter(None, (_following(said, place) for place in places)), [])
            return " ".join([why, *more])
    for line in said:
        if _ANSIBLE.match(line) and "...ignoring" not in line:
            return line
    return next((line for line in reversed(said) if line), "it says nothing")


_BAD = re.compile("error|exception|fatal|fail|denied|refused|traceback", re.IGNORECASE)


def from_the_first_bad(lines: Sequence[str], most: int = 20) -> list[str]:
    """Give the lines from the first that tells of something bad, without a tool's greeting; else the last ones.

    :param most: so many at most.
    """
    first = next((at for at, line in enumerate(lines) if _BAD.search(line)), None)
    return list(lines[-most:] if first is None else lines[first:][:most])


def _following(said: Sequence[str], at: int) -> list[str]:
    found = []
    for line in said[at + 1 : at + 3]:
        if not line or line.startswith(("For more information", "ERROR: ")):
            break
        found.append(line)
    return found
