"""The locks of stacks other than Python: what they name, held against the advisories of their ecosystem, and listed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

import gate
import go_locks
import npm_locks
import osv
import poms

REPLACE = "no fixed version is known: replace it"


@dataclass(frozen=True)
class Package:
    """A package of a lock, by the name and version that its ecosystem knows it by."""

    ecosystem: str
    name: str
    version: str
    ships: bool
    line: int = 0

    @property
    def purl(self) -> str:
        """Its package URL (https://github.com/package-url/purl-spec)."""
        kind = {osv.NPM: "npm", osv.GO: "golang", osv.MAVEN: "maven"}[self.ecosystem]
        name = self.name.replace(":", "/") if self.ecosystem == osv.MAVEN else self.name
        return f"pkg:{kind}/{quote(name, safe='/')}@{quote(self.version, safe='')}"


def known(name: str) -> bool:
    """Whether a path is that of a lock that is read here."""
    return npm_locks.known(name) or PurePosixPath(name).name in ("go.mod", poms.NAME)


def read(name: str) -> tuple[list[Package], list[gate.Finding]]:
    """The packages of a lock of the source tree, and what is wrong with it."""
    path = gate.inside(name)
    if not path.is_file():
        raise gate.Failed(f"{name} is missing: the catalog names it as a lock of dependencies")
    if path.name == poms.NAME:
        return _of_maven(), []
    text = path.read_text(encoding="utf-8", errors="replace")
    if npm_locks.known(name):
        found, wrong = npm_locks.read(name, text)
        return [Package(osv.NPM, one.name, one.version, one.ships) for one in found], wrong
    beside = path.with_name("go.sum")
    sums = beside.read_text(encoding="utf-8", errors="replace") if beside.is_file() else None
    modules, wrong = go_locks.read(name, text, sums)
    # OSV writes Go's versions without their leading v
    return [
        Package(osv.GO, one.name, one.version.removeprefix("v"), True, one.line) for one in modules
    ], wrong


def _of_maven() -> list[Package]:
    """The packages that Maven has resolved for the poms: a pom names its own dependencies only, not theirs."""
    listed = gate.DEPS / "packages.json"
    try:
        told = json.loads(listed.read_text(encoding="utf-8"))
        return [Package(osv.MAVEN, one["name"], one["version"], one["ships"]) for one in told]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise gate.CannotEvaluate(
            f"{listed} is not as fetch-dependencies leaves it ({type(error).__name__}): the dependencies' volume is another's"
        ) from error


def check(name: str) -> gate.Verdict:
    """The verdict on a lock."""
    packages, findings = read(name)
    if findings:
        return gate.Verdict(name, findings)
    if not packages:
        return gate.Verdict(f"{name}, which names no package")
    advisories = osv.Advisories(ecosystem=packages[0].ecosystem)
    if wrong := advisories.unreadable(one.name for one in packages):
        raise gate.CannotEvaluate(
            f"{len(wrong)} advisories of packages of these locks cannot be read: {'; '.join(wrong[:5])}: "
            "mend the copy of the advisories"
        )
    looked_at = f"{len(packages)} packages of {name}, {len(advisories)} advisories of {advisories.metadata['published'][:10]}"
    return gate.Verdict(looked_at, list(found(name, packages, advisories)))


def found(name: str, packages: Iterable[Package], advisories: osv.Advisories) -> Iterable[gate.Finding]:
    """What is known of the packages of a lock."""
    for one in packages:
        try:
            records = advisories.query(one.name, one.version)
        except ValueError as error:
            advice = "take a version that the registry has"
            yield gate.Finding(name, one.line, "lock-pin", f"{one.name}: {error}", advice, context=one.name)
            continue
        for record in records:
            fixes = [
                e["fixed"]
                for a in record["affected"]
                for r in a["ranges"]
                for e in r["events"]
                if "fixed" in e
            ]
            yield gate.Finding(
                name,
                one.line,
                record["id"],
                f"{one.name} {one.version}: {record['summary'][:200]}"
                + "".join(f" ({a})" for a in record["aliases"][:1]),
                f"update to {' or '.join(fixes)} and make the lock anew" if fixes else REPLACE,
                severity=advisories.severity(one.name, record["id"]),
                context=one.name,
                aliases=tuple(record["aliases"]),
                ships=one.ships,
            )
