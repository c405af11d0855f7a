"""Which Node a project runs on: what it names, as far as the toolbox has it.

Ranges are npm's (https://docs.npmjs.com/cli/configuring-npm/package-json#engines, https://github.com/npm/node-semver#ranges),
read no finer than a choice among a few versions needs: a named patch version stands for its major.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Version = tuple[int, int, int]
PLACE = Path("/opt/node")
DEFAULT = 24
FILES = (".nvmrc", ".node-version")
_TEAMS = {"iron": 20, "jod": 22, "krypton": 24}  # names of Node's long-term lines
_PART = re.compile(
    r"(>=|<=|>|<|=|\^|~>?)?\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:[-+][\w.-]+)?"
)


class Unknown(Exception):
    """What a project names is not to be had, or is no version."""


def installed(place: Path = PLACE) -> dict[int, Version]:
    """The versions of the toolbox by their major."""
    found: dict[int, Version] = {}
    for folder in sorted(place.glob("[0-9]*")):
        told = json.loads((folder / "package.json").read_text(encoding="utf-8"))["version"]
        found[int(folder.name)] = _whole(told)
    return found


def chosen(root: Path, there: dict[int, Version]) -> tuple[int, str]:
    """The major that a project runs on, and which file says so.

    :param there: the versions to choose from.
    :raises Unknown: if it names none of them.
    """
    for where, wish in _wishes(root):
        fitting = _fitting(wish, there)
        if not fitting:
            had = ", ".join(".".join(map(str, one)) for one in there.values())
            raise Unknown(f"{where} asks for Node {wish}, and the toolbox has {had}")
        return (DEFAULT if DEFAULT in fitting else max(fitting)), where
    return (DEFAULT if DEFAULT in there else max(there)), "nothing says which"


def _wishes(root: Path) -> Iterator[tuple[str, str]]:
    for name in FILES:
        if (file := root / name).is_file() and (
            text := file.read_text(encoding="utf-8", errors="replace").split("#")[0].strip()
        ):
            yield name, text
    told = package(root)
    for where, key in (("volta", "node"), ("engines", "node")):
        table = told.get(where)
        if isinstance(table, dict) and isinstance(wish := table.get(key), str) and wish.strip():
            yield f"`{where}` of package.json", wish


def package(root: Path) -> dict[str, Any]:
    """What package.json says; nothing if it is none."""
    try:
        told = json.loads((root / "package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _fitting(wish: str, there: dict[int, Version]) -> set[int]:
    word = wish.strip().lower()
    if word in ("lts/*", "lts", "node", "stable", "latest", "current", "*", ""):
        return set(there)
    if word.startswith("lts/"):
        return {_TEAMS[word[4:]]} & set(there) if word[4:] in _TEAMS else set()
    try:
        return {
            major for major, version in there.items() if any(_holds(one, version) for one in word.split("||"))
        }
    except ValueError as error:
        raise Unknown(f"`{wish[:80]}` is no version of Node, nor a range: {error}") from error


def _holds(range_: str, version: Version) -> bool:
    """Whether a version is in a range without `||`; an exact version stands for its major."""
    if between := re.fullmatch(r"\s*(\S+)\s+-\s+(\S+)\s*", range_):
        low, high = (_numbers(_PART.fullmatch(one)) for one in between.groups())
        return _filled(low) <= version and version[: len(high)] <= tuple(high)
    text, at = range_.strip(), 0
    if not text:
        return True
    while at < len(text):
        match = _PART.match(text, at)
        if not match or match.end() == at:
            raise ValueError(f"`{text[at : at + 20]}` is not understood")
        if not _meets(match[1] or "", _numbers(match), version):
            return False
        at = match.end()
        while at < len(text) and text[at] in " \t,":
            at += 1
    return True


def _numbers(match: re.Match[str] | None) -> list[int]:
    if match is None:
        raise ValueError("it is not understood")
    found: list[int] = []
    for one in match.groups()[1:]:
        if one is None or not one.isdigit():
            break
        found.append(int(one))
    return found


def _meets(operator: str, named: list[int], version: Version) -> bool:
    if not named:  # `*`
        return True
    low = _filled(named)
    if operator == ">=":
        return version >= low
    if operator == "<":
        return version < low
    if operator == ">":
        return version[: len(named)] > tuple(named)
    if operator == "<=":
        return version[: len(named)] <= tuple(named)
    if operator == "^":
        return version[0] == named[0] and version >= low
    if operator.startswith("~"):
        return version[0] == named[0] and (len(named) == 1 or version >= low)
    return version[0] == named[0]


def _filled(named: Iterable[int]) -> Version:
    first, second, third = (*named, 0, 0, 0)[:3]
    return first, second, third


def _whole(text: str) -> Version:
    return _filled(int(one) for one in text.split("-")[0].split(".")[:3])
