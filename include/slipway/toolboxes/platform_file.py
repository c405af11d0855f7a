"""The parts `images` and `base_images` of a platform file: written, or replaced, with nothing else touched."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from slipway.errors import CatalogError

_ENTRY = re.compile(r"^(?P<head>\s+(?P<name>[\w.:/?*-]+):[ \t]+)(?P<value>\S+)(?P<tail>.*)$", re.DOTALL)


IMAGES, BASES = "images", "base_images"
"""The parts that name images by digest."""


def part(images: Mapping[str, str], of: str = IMAGES) -> str:
    """Give the part as text."""
    return yaml.safe_dump({of: dict(images)}, sort_keys=False, width=1000)


def rewritten(text: str, images: Mapping[str, str], of: str = IMAGES) -> str:
    """Give a platform file's text with some images' references in it; others, comments and all other parts stay as they are.

    :param of: the part that they are in.
    :raises CatalogError: if it is written in a way that this would change anything else.
    """
    if (before := _read(text)) is None:
        raise CatalogError(
            "the file to write the images into is no platform file",
            code="platform.not-a-mapping",
            remedy="name a platform file (docs/operations.md), or a file that is not there yet",
        )
    old = before.get(of) or {}
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    start = next((n for n, line in enumerate(lines) if re.match(rf"{of}:", line)), None)
    if start is None:
        made = "".join([*lines, part(images, of)])
    else:
        end = next((n for n in range(start + 1, len(lines)) if re.match(r"[^\s#]", lines[n])), len(lines))
        body, left = _replaced(lines[start + 1 : end], images)
        indent = next((re.match(r"\s*", line)[0] for line in body if _ENTRY.match(line)), "  ")  # type: ignore[index]
        last = max((n for n, line in enumerate(body) if _ENTRY.match(line)), default=-1) + 1
        added = [f"{indent}{name}: {ref}\n" for name, ref in left.items()]
        head = lines[start] if old else re.sub(rf"^{of}:[ \t]*(\{{\s*\}}|null|~)?", f"{of}:", lines[start])
        made = "".join([*lines[:start], head, *body[:last], *added, *body[last:], *lines[end:]])
    if _read(made) != {**before, of: {**old, **images}}:
        raise CatalogError(
            f"the platform file's `{of}` are not written as one image a line",
            code="platform.images-not-rewritten",
            remedy="put what `slipway toolboxes build` prints there by hand",
        )
    return made


def _replaced(body: list[str], images: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """Give lines with the references in place of what they name, and the images that no line names."""
    left, found = dict(images), []
    for line in body:
        entry = _ENTRY.match(line)
        if entry and (ref := left.pop(entry["name"], None)):
            found.append(f"{entry['head']}{ref}{entry['tail']}")
        else:
            found.append(line)
    return found, left


def _read(text: str) -> dict[str, Any] | None:
    """Give what a platform file holds; None if the text is none."""
    try:
        found = yaml.safe_load(text) or {}
    except yaml.YAMLError:
        return None
    whole = isinstance(found, dict) and all(isinstance(found.get(of) or {}, dict) for of in (IMAGES, BASES))
    return found if whole else None


def write(path: Path, images: Mapping[str, str], bases: Mapping[str, str]) -> None:
    """Put images' references into a platform file, or make a file of them; readers see the old or the new one.

    :raises CatalogError: if the file is no platform file, or cannot be written.
    """
    try:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        new = path.with_name(f".{path.name}.new")
        for of, found in ((IMAGES, images), (BASES, bases)):
            text = rewritten(text, found, of) if found else text
        new.write_text(text, encoding="utf-8")
        if path.exists():
            new.chmod(path.stat().st_mode & 0o777)
        new.replace(path)
    except OSError as error:
        raise CatalogError(
            f"{path} cannot be written: {error.strerror}",
            code="platform.not-writable",
            remedy="name another file by --write",
        ) from error
