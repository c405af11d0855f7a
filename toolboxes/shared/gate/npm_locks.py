"""Reads what npm, pnpm and yarn (1) have locked: packages by name and version, and what is wrong with a lock.

What would come from elsewhere than a registry (git, an address), or has no hash, is a finding: it could be another thing
each time. No tool is run for this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from gate import Finding

NPM, PNPM, YARN = "package-lock.json", "pnpm-lock.yaml", "yarn.lock"
AGAIN = {
    NPM: "`npm install`",
    "npm-shrinkwrap.json": "`npm install`",
    PNPM: "`pnpm install`",
    YARN: "`yarn install`",
}
ELSEWHERE = "take the package from the registry, or put it into the repository as a workspace of its own"
MADE = "`npm install`, `pnpm install` or `yarn install` makes one: commit it"
_KEY = re.compile(r"/?(?P<name>(?:@[^/@]+/)?[^/@]+)[@/](?P<version>[^(_/]+)")


@dataclass(frozen=True)
class Package:
    """One package of a lock. `ships` says whether an installation without development dependencies has it."""

    name: str
    version: str
    ships: bool = True
    scripts: bool = False


class Wrong(Exception):
    """The lock cannot be read so that it says one thing: rule, what, and what to do."""

    def __init__(self, rule: str, what: str, advice: str) -> None:
        super().__init__(what)
        self.rule, self.what, self.advice = rule, what, advice


def known(name: str) -> bool:
    """Whether a path is that of a lock of these tools."""
    return PurePosixPath(name).name in AGAIN


def read(name: str, text: str) -> tuple[list[Package], list[Finding]]:
    """The packages of a lock, sorted, and what is wrong with it."""
    kind = PurePosixPath(name).name
    readers = {PNPM: _pnpm, YARN: _yarn}
    again = f"make it anew with {AGAIN[kind]}, and commit it"
    found: dict[tuple[str, str], Package] = {}
    findings: list[Finding] = []
    try:
        for package, wrong in readers.get(kind, _npm)(text, again):
            if wrong:
                findings.append(Finding(name, 0, wrong.rule, wrong.what, wrong.advice, context=package.name))
            else:
                other = found.setdefault((package.name, package.version), package)
                if package.ships and not other.ships:
                    found[package.name, package.version] = package
    except Wrong as wrong:
        return [], [Finding(name, 0, wrong.rule, wrong.what, wrong.advice)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        what = f"it is not as {AGAIN[kind].strip('`')} writes it ({type(error).__name__}: {str(error)[:200]})"
        return [], [Finding(name, 0, "lock-form", what, again)]
    return sorted(found.values(), key=lambda one: (one.name, one.version)), findings


def _npm(text: str, again: str) -> Iterator[tuple[Package, Wrong | None]]:
    lock = json.loads(text)
    if lock.get("lockfileVersion") not in (2, 3):
        raise Wrong(
            "lock-form",
            f"it is of version {lock.get('lockfileVersion')!r}, and npm 7 and newer write 2 or 3",
            again,
        )
    for path, told in lock["packages"].items():
        _, installed, name = path.rpartition("node_modules/")
        if not installed or told.get("link"):
            continue  # the project itself, or a workspace of it
        package = Package(
            told.get("name") or name,
            str(told["version"]) if "version" in told else "",
            not (told.get("dev") or told.get("devOptional")),
            bool(told.get("hasInstallScript")),
        )
        if told.get("inBundle"):
            yield package, None  # in its parent's archive
        else:
            yield (
                package,
                _refused(package, str(told.get("resolved", "")), bool(told.get("integrity")), again),
            )


def _refused(package: Package, resolved: str, hashed: bool, again: str) -> Wrong | None:
    if resolved and not re.match(r"https?://[^\s]+/-/[^\s]+\.tgz(?:[?#]|$)", resolved):
        return Wrong(
            "lock-source", f"{package.name} comes from {resolved[:120]}, not from a registry", ELSEWHERE
        )
    if not package.version or not hashed:
        return Wrong("lock-hash", f"{package.name} has no {'hash' if package.version else 'version'}", again)
    return None


def _pnpm(text: str, again: str) -> Iterator[tuple[Package, Wrong | None]]:
    import yaml

    try:
        lock = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 -- a safe one
    except yaml.YAMLError as error:
        raise ValueError(f"no YAML: {' '.join(str(error).split())[:150]}") from error
    version = str(lock.get("lockfileVersion"))
    if version.partition(".")[0] != "9":
        raise Wrong("lock-form", f"it is of version {version}, and pnpm 9 and 10 write 9.0", again)
    shipped = set(_pnpm_shipped(lock))
    for key, told in (lock.get("packages") or {}).items():
        match = _KEY.match(key)
        resolution: Mapping[str, Any] = told["resolution"]
        package = Package(
            match["name"] if match else key,
            match["version"] if match else "",
            key in shipped,
            bool(told.get("requiresBuild")),
        )
        if where := next(
            (str(resolution[one]) for one in ("tarball", "repo", "directory") if one in resolution), ""
        ):
            yield (
                package,
                Wrong("lock-source", f"{key[:120]} comes from {where[:120]}, not from a registry", ELSEWHERE),
            )
        else:
            yield package, _refused(package, "", "integrity" in resolution, again)


def _pnpm_shipped(lock: Mapping[str, Any]) -> Iterator[str]:
    """The keys of packages that an importer's own and optional dependencies reach."""
    snapshots: Mapping[str, Any] = lock.get("snapshots") or {}
    waiting = [
        f"{name}@{told['version']}"
        for importer in (lock.get("importers") or {}).values()
        for part in ("dependencies", "optionalDependencies")
        for name, told in (importer.get(part) or {}).items()
    ]
    seen: set[str] = set()
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        yield key.partition("(")[0]
        for part in ("dependencies", "optionalDependencies"):
            for name, version in ((snapshots.get(key) or {}).get(part) or {}).items():
                # an alias has its package's own key for a version
                waiting.append(version if version in snapshots else f"{name}@{version}")


def _yarn(text: str, again: str) -> Iterator[tuple[Package, Wrong | None]]:
    if "__metadata:" in text:
        raise Wrong(
            "lock-form",
            "it was made by a yarn newer than 1",
            "lock with npm, pnpm or yarn 1, whose locks are read here",
        )
    if "# yarn lockfile v1" not in text:
        raise Wrong("lock-form", "it does not say that it is a lock of yarn 1", again)
    for block in re.split(r"\n(?=\S)", text):
        lines = [line for line in block.splitlines() if line.strip() and not line.startswith("#")]
        if not lines:
            continue
        first = lines[0].rstrip(":").split(",")[0].strip().strip('"')
        name = first[: first.index("@", 1)]
        if alias := re.search(r"@npm:((?:@[^/@]+/)?[^/@]+)@", first):
            name = alias[1]
        told = {
            key: value.strip('"')
            for line in lines[1:]
            if line.startswith("  ") and not line.startswith("   ")
            for key, _, value in [line.strip().partition(" ")]
        }
        resolved = told.get("resolved", "")
        package = Package(name, told["version"])
        hashed = "integrity" in told or bool(re.search(r"#[0-9a-f]{40}$", resolved))
        yield package, _refused(package, resolved, hashed, again)
