"""Maven's order of versions: https://maven.apache.org/pom.html#version-order-specification."""

from __future__ import annotations

import re
from functools import total_ordering
from itertools import zip_longest

QUALIFIERS = ("alpha", "beta", "milestone", "rc", "snapshot", "", "sp")
ALIASES = {"a": "alpha", "b": "beta", "m": "milestone", "cr": "rc", "ga": "", "final": "", "release": ""}
RELEASE = QUALIFIERS.index("")
_TOKEN = re.compile(r"\d+|[a-z]+")

Key = tuple[int, int, str]
NOTHING: Key = (1, RELEASE, "")


@total_ordering
class MavenVersion:
    """A version of Maven's. Qualifiers that it does not know come after a release, in the order of letters."""

    FORM = re.compile(r"[0-9A-Za-z][0-9A-Za-z._+-]{0,200}")

    def __init__(self, text: str) -> None:
        if not self.FORM.fullmatch(text):
            raise ValueError(f"{text[:80]!r} is no version of Maven's")
        self.text = text
        tokens = _TOKEN.findall(text.lower().split("+")[0])
        self.keys = [_key(one) for one in tokens] or [NOTHING]
        while len(self.keys) > 1 and self.keys[-1] in (NOTHING, _key("0")):
            self.keys.pop()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MavenVersion) and not self < other and not other < self

    def __lt__(self, other: MavenVersion) -> bool:
        for mine, theirs in zip_longest(self.keys, other.keys):
            one, two = mine or _none(theirs), theirs or _none(mine)
            if one != two:
                return one < two
        return False

    def __hash__(self) -> int:
        return hash(tuple(self.keys))

    def __str__(self) -> str:
        return self.text


def _key(token: str) -> Key:
    """A number comes after every word; a word that is known has its place, others come after those."""
    if token.isdigit():
        return 2, int(token), ""
    word = ALIASES.get(token, token)
    return (1, QUALIFIERS.index(word), "") if word in QUALIFIERS else (1, len(QUALIFIERS), word)


def _none(beside: Key | None) -> Key:
    """What is not there is 0 beside a number, and a release beside a word."""
    return _key("0") if beside and beside[0] == 2 else NOTHING
