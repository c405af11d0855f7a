"""Which version of a language the gates ran with, and which the image runs: told where they are not the same.

A release that differs is no mistake by itself: what the toolbox has is the platform's choice, what the image runs the team's. But
a test that passed on another version says less, so that it is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

FILES = ("package.json", ".nvmrc", ".node-version")
"""What a Node project names its version in."""
PYTHON, GO = "3.11", "1.27"
NODE = (20, 22, 24)
NODE_DEFAULT = 24
"""What the toolboxes have; `toolbox-node` runs the major that the project names, or the default."""
_LINES = {"iron": 20, "jod": 22, "krypton": 24}
_IMAGES = {"python": "python", "node": "node", "go": "golang"}
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")
_PLAIN = re.compile(r"[=v^~]*\s*v?(\d+)(?:\.(?:\d+|[xX*]))*")


def told(stack: str, last: str | None, below: Sequence[str], files: Mapping[str, bytes]) -> str:
    """Give in words that image and gates run different versions; nothing if they do not, or if that cannot be told.

    :param last: name of the image that the released stage stands on. :param below: names of all images of the Dockerfile: a Go
        program is made on one of them, and runs on any.
    :param files: the project's, of :data:`FILES`.
    """
    if stack not in _IMAGES:
        return ""
    named = [one for one in ([last] if stack != "go" else below) if one]
    image = next((one for one in named if one.partition(":")[0] == _IMAGES[stack]), None)
    match = _VERSION.match(image.partition(":")[2]) if image else None
    ran, why = {"python": (PYTHON, ""), "go": (GO, ""), "node": node(files)}[stack]
    if image is None or match is None or ran is None:
        return ""
    parts = len(ran.split("."))
    runs = ".".join(one for one in match.groups()[:parts] if one)
    if f"{ran}.".startswith(f"{runs}."):  # the same, or the image's name says less
        return ""
    return f"the image stands on {image}, and the gates run {_IMAGES[stack].removesuffix('lang').title()} {ran}{why}"


def node(files: Mapping[str, bytes]) -> tuple[str | None, str]:
    """Give the major that the toolbox runs, and why; None if only the toolbox can tell: of most ranges."""
    for where, wish in _wishes(files):
        major = _major(wish.strip().lower())
        return (str(major) if major in NODE else None), f" ({where} says {wish.strip()[:20]})"
    return str(
        NODE_DEFAULT
    ), " (nothing in the project says which: write .nvmrc, or `engines` in package.json)"


def _wishes(files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    found = []
    for name in (".nvmrc", ".node-version"):
        text = files.get(name, b"").decode("utf-8", "replace").split("#")[0].strip()
        found += [(name, text)] if text else []
    try:
        package = json.loads(files.get("package.json", b"{}"))
    except ValueError:
        package = {}
    for where, key in (("volta", "node"), ("engines", "node")):
        table = package.get(where) if isinstance(package, dict) else None
        wish = table.get(key) if isinstance(table, dict) else None
        if isinstance(wish, str) and wish.strip():
            found.append((f"`{where}` of package.json", wish))
    return found


def _major(wish: str) -> int | None:
    if wish in ("lts/*", "lts", "node", "stable", "latest", "current", "*"):
        return NODE_DEFAULT
    if wish.startswith("lts/"):
        return _LINES.get(wish[4:])
    if match := re.fullmatch(r">=\s*v?(\d+)((?:\.\d+)*)", wish):
        return (
            NODE_DEFAULT
            if int(match[1]) < NODE_DEFAULT or (int(match[1]) == NODE_DEFAULT and not match[2])
            else None
        )
    match = _PLAIN.fullmatch(wish)
    return int(match[1]) if match else None
