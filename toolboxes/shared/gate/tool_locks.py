"""Reads the locks of uv, Poetry, PDM and Pipenv as pins with hashes, for the Python that this runs on.

The files are read, and no tool is run: Poetry and PDM load plugins that a project names. What the tool would install from
elsewhere than a package index (git, an address, a path) is a finding.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from gate import Finding
from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

Table = Mapping[str, Any]
RUNTIME, DEVELOPMENT = "runtime", "development"
ELSEWHERE = "take the package from the index, or put it into the repository as code of its own"
AGAIN = {
    "uv.lock": "`uv lock`",
    "poetry.lock": "`poetry lock`",
    "pdm.lock": "`pdm lock`",
    "Pipfile.lock": "`pipenv lock`",
}
ROOT = ("editable", "virtual")
"""Kinds of source in uv.lock that a workspace's own packages have."""


class Wrong(Exception):
    """The lock cannot be read so that it says one thing: rule, what, and what to do."""

    def __init__(self, rule: str, what: str, advice: str) -> None:
        super().__init__(what)
        self.rule, self.what, self.advice = rule, what, advice


class Package:
    """One package of a lock: its name, version, hashes, and the requirements of it and of its extras."""

    def __init__(self, table: Table, hashes: Iterable[str], where: str = "") -> None:
        self.table, self.name = table, canonicalize_name(str(table["name"]))
        self.hashes = tuple(
            dict.fromkeys(one.removeprefix("sha256:") for one in hashes if one.startswith("sha256:"))
        )
        self.where = where
        try:
            self.version = str(Version(str(table["version"])))
        except (KeyError, InvalidVersion):
            self.version = ""


def known(name: str) -> bool:
    """Whether a path is that of a lock of these tools."""
    return PurePosixPath(name).name in AGAIN


def needs(name: str) -> tuple[str, ...]:
    """The files beside a lock that say what it means."""
    path = PurePosixPath(name)
    return (str(path.with_name("pyproject.toml")),) if path.name == "poetry.lock" else ()


def read(
    name: str, text: str, beside: Mapping[str, str], part: str
) -> tuple[list[tuple[str, str, tuple[str, ...]]], list[Finding]]:
    """The packages (name, version, hashes) of a part of a lock, sorted, and what is wrong with it.

    :param beside: the files that :func:`needs` names, as far as they are there.
    :param part: RUNTIME, what the project itself needs, or DEVELOPMENT, what its groups (and extras) need besides.
    """
    kind = PurePosixPath(name).name
    readers: dict[str, Callable[[Table, Table, str], Iterator[Package]]] = {
        "uv.lock": _uv,
        "poetry.lock": _poetry,
        "pdm.lock": _pdm,
        "Pipfile.lock": _pipenv,
    }
    again = f"make it anew with {AGAIN[kind]}, and commit it"
    try:
        lock = json.loads(text) if kind == "Pipfile.lock" else tomllib.loads(text)
        project = tomllib.loads(next(iter(beside.values()), ""))
        chosen: dict[str, Package] = {}
        for package in readers[kind](lock, project, part):
            other = chosen.setdefault(package.name, package)
            if other.version != package.version:
                what = f"{package.name} is there as {other.version} and {package.version} for one Python"
                raise Wrong("lock-fork", what, again)
        findings = [one for package in chosen.values() if (one := _refused(name, package, again))]
    except Wrong as wrong:
        return [], [Finding(name, 0, wrong.rule, wrong.what, wrong.advice)]
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        InvalidMarker,
        InvalidRequirement,
    ) as error:
        what = f"it is not as {AGAIN[kind].strip('`')} writes it ({type(error).__name__}: {str(error)[:200]})"
        return [], [Finding(name, 0, "lock-form", what, again)]
    return sorted((one.name, one.version, one.hashes) for one in chosen.values()), findings


def _refused(name: str, package: Package, again: str) -> Finding | None:
    if package.where:
        what = f"{package.name} comes from {package.where}, not from the package index"
        return Finding(name, 0, "lock-source", what, ELSEWHERE)
    if not package.version or not package.hashes:
        what = f"{package.name} has no {'sha256 hash' if package.version else 'version'}"
        return Finding(name, 0, "lock-hash", what, again)
    return None


def _holds(marker: object, extra: str = "") -> bool:
    return not marker or Marker(str(marker)).evaluate({"extra": extra})


def _uv(lock: Table, _project: Table, part: str) -> Iterator[Package]:
    packages = [
        Package(
            one,
            [
                file["hash"]
                for file in (*one.get("wheels", []), *([one["sdist"]] if "sdist" in one else []))
                if "hash" in file
            ],
            ", ".join(kind for kind in one["source"] if kind != "registry"),
        )
        for one in lock.get("package", [])
    ]
    own = [one for one in packages if set(one.table["source"]) & set(ROOT)]
    tops = [one for one in own if "." in one.table["source"].values()] or own
    if not tops:
        raise Wrong("lock-form", "it names no project of its own", AGAIN["uv.lock"])

    def needed(package: Package, extra: str | None) -> Iterator[Table]:
        yield from (
            package.table.get("optional-dependencies", {}).get(extra, [])
            if extra
            else package.table.get("dependencies", [])
        )

    starts: list[Table] = []
    for top in tops:
        starts += needed(top, None)
        if part == DEVELOPMENT:
            groups = (
                *top.table.get("dev-dependencies", {}).values(),
                *top.table.get("optional-dependencies", {}).values(),
            )
            starts += [one for group in groups for one in group]

    def asked(one: Table) -> tuple[Callable[[Package], bool], Iterable[str]]:
        def fits(package: Package) -> bool:
            return all(
                str(package.table.get(key)) == str(one[key]) for key in ("version", "source") if key in one
            )

        return fits, one.get("extra", [])

    for package in _closure(packages, starts, needed, asked):
        if package not in own:
            yield package


def _closure(
    packages: list[Package],
    starts: Iterable[Table],
    needed: Callable[[Package, str | None], Iterable[Table]],
    asked: Callable[[Table], tuple[Callable[[Package], bool], Iterable[str]]],
) -> list[Package]:
    """All packages that are reached by requirements whose marker holds here."""
    by_name: dict[str, list[Package]] = {}
    for one in packages:
        by_name.setdefault(one.name, []).append(one)
    waiting, seen, found = list(starts), set(), {}
    while waiting:
        one = waiting.pop()
        if not _holds(one.get("marker"), one.get("within") or ""):
            continue
        fits, extras = asked(one)
        for package in filter(fits, by_name.get(canonicalize_name(one["name"]), [])):
            found[id(package)] = package
            for extra in (None, *extras):
                if (id(package), extra) not in seen:
                    seen.add((id(package), extra))
                    waiting += needed(package, extra)
    return list(found.values())


def _poetry(lock: Table, project: Table, part: str) -> Iterator[Package]:
    files = lock.get("metadata", {}).get("files", {})  # of Poetry before 1.3
    packages = [
        Package(
            one,
            [file["hash"] for file in (one.get("files") or files.get(one["name"], []))],
            str(source.get("url") or source.get("type"))
            if (source := one.get("source", {})).get("type", "legacy") != "legacy"
            else "",
        )
        for one in lock.get("package", [])
    ]
    if all("groups" in one.table for one in packages):
        for one in packages:
            groups = [group for group in one.table["groups"] if (group == "main") or part == DEVELOPMENT]
            markers = one.table.get("markers")
            if any(_holds(markers.get(group) if isinstance(markers, dict) else markers) for group in groups):
                yield one
        return

    def needed(package: Package, extra: str | None) -> Iterator[Table]:
        named = (
            [Requirement(one).name for one in package.table.get("extras", {}).get(extra, [])] if extra else []
        )
        wanted = {canonicalize_name(one) for one in named}
        for name, said in package.table.get("dependencies", {}).items():
            for one in said if isinstance(said, list) else [said]:
                table = one if isinstance(one, dict) else {}
                if (canonicalize_name(name) in wanted) if extra else not table.get("optional"):
                    yield {
                        "name": name,
                        "marker": table.get("markers"),
                        "within": extra,
                        "extra": table.get("extras", []),
                    }

    def asked(one: Table) -> tuple[Callable[[Package], bool], Iterable[str]]:
        return lambda _package: True, one["extra"]

    yield from _closure(packages, list(_poetrys(project, part)), needed, asked)


def _poetrys(project: Table, part: str) -> Iterator[Table]:
    """The requirements of a project that Poetry locks, of a part."""
    poetry, plain = project.get("tool", {}).get("poetry", {}), project.get("project", {})
    if not poetry and not plain:
        raise Wrong(
            "lock-form",
            "it was made by Poetry 1, and pyproject.toml is not beside it",
            "commit it, or lock with Poetry 2",
        )
    tables, texts = [poetry.get("dependencies", {})], [plain.get("dependencies", [])]
    if part == DEVELOPMENT:
        tables += [poetry.get("dev-dependencies", {})]
        tables += [one.get("dependencies", {}) for one in poetry.get("group", {}).values()]
        texts += [
            *project.get("dependency-groups", {}).values(),
            *plain.get("optional-dependencies", {}).values(),
        ]
    for table in tables:
        for name, said in table.items():
            for one in said if isinstance(said, list) else [said]:
                known = one if isinstance(one, dict) else {}
                if name != "python" and not known.get("optional"):
                    yield {"name": name, "marker": known.get("markers"), "extra": known.get("extras", [])}
    for text in (one for some in texts for one in some if isinstance(one, str)):
        requirement = Requirement(text)
        yield {"name": requirement.name, "marker": requirement.marker, "extra": sorted(requirement.extras)}


def _pdm(lock: Table, _project: Table, part: str) -> Iterator[Package]:
    for one in lock.get("package", []):
        if "groups" not in one:
            raise Wrong(
                "lock-form",
                "it does not say which group a package is of",
                "make it anew with PDM 2.11 or newer",
            )
        where = next((key for key in ("git", "url", "path") if key in one), "")
        if ("default" in one["groups"] or part == DEVELOPMENT) and _holds(one.get("marker")):
            yield Package(one, [file["hash"] for file in one.get("files", [])], where)


def _pipenv(lock: Table, _project: Table, part: str) -> Iterator[Package]:
    for section in ("default", "develop") if part == DEVELOPMENT else ("default",):
        for name, one in lock[section].items():
            where = next((key for key in ("git", "file", "path") if key in one), "")
            if _holds(one.get("markers")):
                version = str(one.get("version", "")).removeprefix("==")
                yield Package({"name": name, "version": version}, one.get("hashes", []), where)
