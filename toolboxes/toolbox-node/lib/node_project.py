"""A Node project as its own tools expect it: its scripts, its packages beside it, and the Node that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import gate
import node_version

FETCHED = gate.DEPS / "project"
SCRIPTS: Mapping[str, tuple[str, ...]] = {
    "compile": ("build", "compile"),
    "lint": ("lint",),
    "analyze": ("typecheck", "type-check", "check-types", "types", "tsc"),
    "unit": ("test:unit", "test"),
    "integration": ("test:integration", "test:int", "test:e2e"),
}
"""By which scripts of package.json a project's stages are known, the best first."""


def script(stage: str, root: Path) -> str | None:
    """The script of package.json that a stage runs; None if there is none."""
    told = node_version.package(root).get("scripts")
    scripts = told if isinstance(told, dict) else {}
    # what `npm init` writes for tests that there are not
    return next(
        (
            one
            for one in SCRIPTS[stage]
            if isinstance(text := scripts.get(one), str) and "no test specified" not in text
        ),
        None,
    )


def environment(root: Path) -> dict[str, str]:
    """Lay the project's packages beside it, and give the variables by which Node and its tools are found.

    :raises gate.CannotEvaluate: if nothing was fetched.
    """
    marker = gate.DEPS / "node"
    if not marker.is_file():
        raise gate.CannotEvaluate(
            "/deps is empty: fetch-dependencies has not filled the dependencies' volume"
        )
    laid(FETCHED, root)
    return variables(marker.read_text(encoding="utf-8").strip(), root)


def variables(major: str, root: Path) -> dict[str, str]:
    """The variables of a command of the project."""
    path = [f"{root}/node_modules/.bin", f"{node_version.PLACE}/{major}/bin", os.environ["PATH"]]
    return {
        **os.environ,
        "PATH": ":".join(path),
        "CI": "true",
        "NO_COLOR": "1",
        "NO_UPDATE_NOTIFIER": "1",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        "NPM_CONFIG_NODEDIR": f"{node_version.PLACE}/{major}",
        "NPM_CONFIG_CACHE": "/tmp/npm",
        "NPM_CONFIG_MANAGE_PACKAGE_MANAGER_VERSIONS": "false",
        "COREPACK_ENABLE_NETWORK": "0",
    }


def laid(fetched: Path, root: Path) -> None:
    """Lay each folder `node_modules` that was fetched into a copy of the source: a folder of links, so that tools may add to it.

    Node follows a link before it looks for what a package needs, and so finds that where it was fetched. A link to a
    workspace leads to the copy's own.
    """
    for folder, folders, _ in os.walk(fetched):
        if "node_modules" not in folders:
            folders[:] = [one for one in folders if one != "node_modules"]
            continue
        folders[:] = [one for one in folders if one != "node_modules"]
        place = root / Path(folder).relative_to(fetched)
        if place.is_dir():
            _linked(Path(folder, "node_modules"), place / "node_modules", fetched, root)


def _linked(source: Path, target: Path, fetched: Path, root: Path) -> None:
    target.mkdir(exist_ok=True)
    for one in sorted(source.iterdir()):
        place = target / one.name
        if one.name.startswith("@") and one.is_dir() and not one.is_symlink():
            _linked(one, place, fetched, root)
        elif not (place.is_symlink() or place.exists()):
            end = one.resolve()
            own = end.is_relative_to(fetched) and "node_modules" not in end.relative_to(fetched).parts
            place.symlink_to(root / end.relative_to(fetched) if own else one)
