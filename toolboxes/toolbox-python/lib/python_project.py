"""Makes a project known to its own Python as an installed one is: import paths, version, entry points.

`importlib.metadata.version("shop")` and entry points read what an installation leaves; so the project's own
build backend is asked for that (PEP 517, prepare_metadata_for_build_wheel), in the copy, without network.
What pyproject.toml says plainly needs no backend.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import gate
import working_copy

PLACE = Path("/tmp/project")
TOOLS = "/opt/toolbox/bin/python"
ASKED = """
import os, sys
from pyproject_hooks import BuildBackendHookCaller, quiet_subprocess_runner
backend, place = sys.argv[1:3]
hooks = BuildBackendHookCaller(os.getcwd(), backend, sys.argv[3:] or None, runner=quiet_subprocess_runner)
print(hooks.prepare_metadata_for_build_wheel(place, _allow_fallback=False))
"""
LEGACY = "setuptools.build_meta:__legacy__"
LIMIT_S = 60


def environment(root: Path) -> dict[str, str]:
    """Make the project in a folder known, and give the variables by which it is found."""
    told = _told(root)
    PLACE.mkdir(exist_ok=True)
    problem = installed(root, told)
    if problem:
        print(
            f"the project itself is not installed, so importlib.metadata does not know it: {problem}",
            flush=True,
        )
    found = [str(path) for path in (*import_roots(root, told), PLACE)]
    return {**working_copy.environment(root), "PYTHONPATH": ":".join(found)}


def _told(root: Path) -> dict[str, Any]:
    file = root / "pyproject.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise gate.Failed(f"pyproject.toml cannot be read: {error}") from error


def _at(told: Any, *place: str) -> Any:
    for part in place:
        told = told.get(part) if isinstance(told, dict) else None
    return told


def import_roots(root: Path, told: dict[str, Any]) -> list[Path]:
    """The folders that imports start from: what the build's settings name, `src`, and the top."""
    named = [_at(told, "tool", "setuptools", "package-dir", "")]
    named += _at(told, "tool", "setuptools", "packages", "find", "where") or []
    packages = _at(told, "tool", "poetry", "packages")
    named += [_at(one, "from") for one in packages] if isinstance(packages, list) else []
    found = dict.fromkeys(root / one for one in [*named, "src"] if isinstance(one, str) and one)
    inside = [one for one in found if one.is_dir() and one.resolve().is_relative_to(root.resolve())]
    return [*inside, root]


def installed(root: Path, told: dict[str, Any]) -> str | None:
    """Leave what an installation leaves, and give why that cannot be; None if there is nothing to say."""
    static = static_metadata(told)
    if static:
        name, version, entry_points = static
        folder = PLACE / f"{re.sub('[-_.]+', '_', name)}-{version}.dist-info"
        folder.mkdir(exist_ok=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (folder / "INSTALLER").write_text("slipway\n")
        (folder / "entry_points.txt").write_text(entry_points)
        return None
    build = told.get("build-system")
    has_setup = (root / "setup.py").is_file() or (root / "setup.cfg").is_file()
    if not isinstance(build, dict) and not has_setup:
        return None  # no package: an application that is run from its files
    backend = (_at(build, "build-backend") if build else None) or LEGACY
    where = _at(build, "backend-path") or []
    return _asked(root, str(backend), [str(one) for one in where] if isinstance(where, list) else [])


def static_metadata(told: dict[str, Any]) -> tuple[str, str, str] | None:
    """Name, version and entry points, if pyproject.toml says them plainly (PEP 621, Poetry's own table)."""
    for table, dynamic in ((told.get("project"), True), (_at(told, "tool", "poetry"), False)):
        if not isinstance(table, dict):
            continue
        name, version = table.get("name"), table.get("version")
        if dynamic and {"version", "entry-points", "scripts"} & set(table.get("dynamic") or []):
            continue
        if isinstance(name, str) and isinstance(version, str):
            if not re.fullmatch(r"[A-Za-z0-9._-]+", name) or not re.fullmatch(r"[A-Za-z0-9.!+_-]+", version):
                return None
            return name, version, _entry_points(table)
    return None


def _entry_points(table: dict[str, Any]) -> str:
    groups: dict[str, Any] = {
        "console_scripts": table.get("scripts"),
        "gui_scripts": table.get("gui-scripts"),
    }
    groups |= table.get("entry-points") or table.get("plugins") or {}
    lines = []
    for group, points in groups.items():
        if isinstance(points, dict) and points:
            lines += [
                f"[{group}]",
                *(f"{one} = {to}" for one, to in points.items() if isinstance(to, str)),
                "",
            ]
    return "\n".join(lines)


def _asked(root: Path, backend: str, path: list[str]) -> str | None:
    """Let the build's backend prepare the metadata."""
    try:
        done = subprocess.run(
            [TOOLS, "-c", ASKED, backend, str(PLACE), *path],
            cwd=root,
            capture_output=True,
            timeout=LIMIT_S,
            env={**working_copy.environment(root), "SETUPTOOLS_SCM_PRETEND_VERSION": "0.0.0"},
        )
    except subprocess.TimeoutExpired:
        return f"{backend} took longer than {LIMIT_S} s to tell its metadata"
    if done.returncode == 0:
        return None
    return f"{backend} does not tell its metadata:\n{gate.last(done.stderr.decode(errors='replace'), 6)}"
