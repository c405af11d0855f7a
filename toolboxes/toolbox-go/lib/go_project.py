"""A Go project as the go command expects it: its modules where they were fetched, caches that may be written to."""

from __future__ import annotations

import os
from pathlib import Path

import gate

GO = Path("/opt/go/bin/go")
MODULES, CACHE, COMPILED = gate.DEPS / "mod", Path("/tmp/gocache"), Path("/opt/gocache")


def environment(root: Path) -> dict[str, str]:
    """Give the variables of a command of the project. Nothing is fetched any more.

    :raises gate.CannotEvaluate: if nothing was fetched.
    """
    if not (gate.DEPS / ".complete").is_file():
        raise gate.CannotEvaluate(
            "/deps is empty: fetch-dependencies has not filled the dependencies' volume"
        )
    begun()
    more = {} if (root / "vendor/modules.txt").is_file() else {"GOFLAGS": "-mod=readonly"}
    return {**variables(), "GOPROXY": "off", "GOSUMDB": "off", "CI": "true", **more}


def variables() -> dict[str, str]:
    """The variables of the go command."""
    return {
        **os.environ,
        "GOPATH": "/tmp/go",
        "GOMODCACHE": str(MODULES),
        "GOCACHE": str(CACHE),
        "GOENV": "off",
        "GOTELEMETRY": "off",
        "PATH": f"/tmp/go/bin:{os.environ['PATH']}",
    }


def begun(compiled: Path = COMPILED, cache: Path = CACHE) -> None:
    """Begin the cache of what is compiled with the standard library's: links, since go adds files and changes none."""
    if cache.is_dir():
        return
    for folder, _, names in os.walk(compiled):
        place = cache / Path(folder).relative_to(compiled)
        place.mkdir(parents=True)
        for name in names:
            (place / name).symlink_to(Path(folder, name))
