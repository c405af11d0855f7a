"""Which images a Dockerfile stands on, and which of the platform's own copies stand for them.

This serves words, not safety: a builder has no registry and no way out, so that a name which is not handed to it cannot be had.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed

if TYPE_CHECKING:
    from slipway.catalog import Service

_ALPINE = re.compile(r"-alpine[\d.]*$|^alpine:.*$")
_STAGE = re.compile(r"\s+AS\s+(\S+)\s*$", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")


@dataclass(frozen=True)
class Named:
    """An image that a Dockerfile names.

    :param line: where it does; counts from 1.
    :param name: as it stands there, with arguments filled in: what the builder asks for.
    """

    line: int
    name: str


def named(dockerfile: str, arguments: Mapping[str, str]) -> list[Named]:
    """Give the images that a Dockerfile names by FROM, `COPY --from` and `RUN --mount=…,from=`, each once, in its order.

    :param arguments: the build's arguments; of those that it declares before its first FROM, its own values are defaults.
    """
    known: dict[str, str] = {}
    stages, found, seen_from = set[str](), dict[str, int](), False
    for number, line in _instructions(dockerfile):
        word, _, rest = line.partition(" ")
        word, flags, rest = word.upper(), *_flags(rest.strip())
        names: list[str] = []
        if word == "ARG" and not seen_from:
            known |= _declared(rest, known, arguments)
        elif word == "FROM":
            seen_from = True
            names = [_filled(_STAGE.sub("", rest).strip(), known)]
        elif word in ("COPY", "RUN"):
            names = [_filled(name, known) for name in _sources(flags)]
        for name in names:
            if name and name != "scratch" and name.lower() not in stages and not name.isdigit():
                found.setdefault(name, number)
        if word == "FROM" and (stage := _STAGE.search(rest)):
            stages.add(stage[1].lower())
    return [Named(number, name) for name, number in found.items()]


def last(dockerfile: str, arguments: Mapping[str, str], target: str | None = None) -> str | None:
    """Give the image that the released stage stands on, through other stages, as people write it; None if that is no image.

    :param target: the stage that is released; the last if none is named.
    """
    known: dict[str, str] = {}
    stages: dict[str, str] = {}
    at = ""
    for _, line in _instructions(dockerfile):
        word, _, rest = line.partition(" ")
        if word.upper() == "ARG" and not stages:
            known |= _declared(rest.strip(), known, arguments)
        elif word.upper() == "FROM":
            _, rest = _flags(rest.strip())
            name = _filled(_STAGE.sub("", rest).strip(), known)
            stage = _STAGE.search(rest)
            at = stage[1].lower() if stage else str(len(stages))
            stages[at] = stages.get(name.lower(), name)
            if target and at == target.lower():
                break
    found = stages.get(at, "")
    return None if not found or found == "scratch" else familiar(found)


def _declared(rest: str, known: Mapping[str, str], arguments: Mapping[str, str]) -> dict[str, str]:
    found = dict(known)
    for one in rest.split():
        name, given, value = one.partition("=")
        found[name] = arguments.get(name, _filled(value.strip("\"'"), found) if given else "")
    return found


def familiar(name: str) -> str:
    """Give a name as people write it: without the hub's host and folder, with a tag where it has neither tag nor digest."""
    short = re.sub(r"^(?:(?:index\.)?docker\.io/)?(?:library/)?", "", name)
    return short if "@" in short or ":" in short.rpartition("/")[2] else f"{short}:latest"


def resolved(
    dockerfile: str, names: list[Named], bases: Mapping[str, str], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Give the platform's image for each name.

    :param dockerfile: its path, for words.
    :param bases: images by public name or pattern (`*`, `?`); a name that stands there itself goes before patterns, a longer
        pattern before a shorter one.
    :param given: those that a Dockerfile gets by arguments of the build.
    :raises PolicyFailed: if the platform has none for a name; with where it is, and the nearest that it has.
    """
    found = {}
    for one in names:
        name = familiar(one.name)
        if (image := (given or {}).get(name) or copy_of(name, bases)) is None:
            legal = ", ".join(near(name, bases))
            why = ": its copies are Debian, which knows no apk" if _ALPINE.search(name) else ""
            raise PolicyFailed(
                f"{dockerfile}:{one.line}: this platform has no copy of the image {one.name}{why}",
                code="image.base-unknown",
                remedy=f"build on {legal} (`slipway bases list` has all), or have it added to `base_images`",
            )
        found[one.name] = image
    return found


def refuse_lacking(service: Service, known: Mapping[str, str]) -> None:
    """See that the platform has each image that is to run beside a stage.

    :raises PolicyFailed: for the first that it has not, with the nearest that it has.
    """
    stages = {
        "test.integration": service.test.integration.services,
        "scan.dynamic": service.scan.dynamic.services,
    }
    for stage, services in stages.items():
        for key, one in services.items():
            if one.image not in known:
                raise PolicyFailed(
                    f"{stage}.services.{key}: this platform has no image {one.image}",
                    code="stage.image-unknown",
                    remedy=f"take {', '.join(near(one.image, known))} (`slipway bases list` has all), or have it added to "
                    "`base_images`",
                )


def near(name: str, bases: Mapping[str, str]) -> list[str]:
    """Give up to three names that the platform has and that are meant, perhaps; of Alpine the small one of the same version."""
    plain = _ALPINE.sub("", name)
    first = [one for one in (f"{plain}-slim", plain) if plain != name and one in bases]
    return (
        list(dict.fromkeys([*first, *difflib.get_close_matches(plain, bases, 3, 0.5)]))[:3]
        or sorted(bases)[:8]
    )


def copy_of(name: str, bases: Mapping[str, str]) -> str | None:
    """Give the platform's image for a name; None if it has none."""
    order = sorted(bases, key=lambda one: (-len(one), one))
    key = name if name in bases else next((known for known in order if fnmatchcase(name, known)), None)
    return bases[key] if key is not None else None


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda one: known.get(one[1] or one[3]) or one[2] or "", text)


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    """Give each instruction in one line, with the number of its first; what stands in here-documents is none."""
    kept, began, until = "", 0, list[str]()
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.rstrip("\r")
        if until:
            if line.strip() == until[0]:
                until.pop(0)
            continue
        if line.lstrip().startswith("#") or not line.strip():
            continue
        began = began or number
        if match := re.search(r"\\[ \t]*$", line):
            kept += line[: match.start()] + " "
            continue
        whole = " ".join((kept + line).split())
        until = (
            re.findall(r"<<-?\s*[\"']?([A-Za-z_]\w*)[\"']?", whole)
            if re.match(r"(?i)(run|copy|add)\b", whole)
            else []
        )
        yield began, whole
        kept, began = "", 0
    if kept.strip():
        yield began, " ".join(kept.split())


def _flags(rest: str) -> tuple[list[str], str]:
    flags = []
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        flags.append(flag)
        rest = rest.lstrip()
    return flags, rest


def _sources(flags: list[str]) -> Iterator[str]:
    for flag in flags:
        key, _, value = flag.partition("=")
        if key.lower() == "--from":
            yield value
        elif key.lower() == "--mount":
            yield from (part[5:] for part in value.split(",") if part.lower().startswith("from="))
