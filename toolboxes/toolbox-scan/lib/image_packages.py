"""What is known of the packages of Debian and npm in a built image.

Packages of a release of Debian that the advisories are not of are no verdict: of them nothing is known. What the platform's own
base brings is told, and stops nothing: the platform renews it (docs/gates.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gate
import image_layers
import npm_locks
import osv
import others

DPKG = "var/lib/dpkg/status"
BELOW = "a base of the platform brings it, and the nightly refresh renews that (`slipway bases update`)"
INSTALLED = "`apt-get upgrade` where the Dockerfile installs it, or build without kept layers"


@dataclass(frozen=True)
class Looked:
    """What was found, and in words what was looked at."""

    findings: Sequence[gate.Finding]
    said: str


def look(image: image_layers.Image, lock: str) -> Looked:
    """Hold the packages of Debian and npm against their advisories; where the platform has none of them they are counted."""
    debian, node = image.debian(), list(image.node())
    found: list[gate.Finding] = []
    judged, counted = [], []
    if osv.is_wanted(osv.DEBIAN) and debian:
        found += _debian(image.release(), debian)
    if osv.is_wanted(osv.NPM) and node:
        found += _node(node, image.below, lock)
    for kind, packages in ((osv.DEBIAN, debian), (osv.NPM, node)):
        (judged if osv.is_wanted(kind) else counted).append(f"{len(packages)} packages of {kind}")
    said = [*judged, *(f"{one} are not judged: there are no advisories of them here" for one in counted)]
    return Looked(found, "; ".join(said))


def _debian(release: str, packages: Sequence[image_layers.Debian]) -> Iterator[gate.Finding]:
    advisories = osv.Advisories(ecosystem=osv.DEBIAN)
    if release not in advisories.releases:
        raise gate.CannotEvaluate(
            f"the image has packages of Debian {release or 'without a release'}, and the advisories are of "
            f"{', '.join(sorted(advisories.releases))}: build on another base, or name a source that has that release"
        )
    by_source: dict[tuple[str, str], list[image_layers.Debian]] = defaultdict(list)
    for one in packages:
        by_source[one.source, one.source_version].append(one)
    _read(advisories, {f"{release}/{source}" for source, _ in by_source})
    for (source, version), binaries in sorted(by_source.items()):
        below = all(one.below for one in binaries)
        names = ", ".join(one.name for one in binaries[:4]) + (", …" if len(binaries) > 4 else "")
        for record in advisories.query(f"{release}/{source}", version):
            fixes = _fixes(record)
            severity = advisories.severity(f"{release}/{source}", record["id"])
            if not fixes:  # Debian has looked at it, and mends it in no release
                severity, advice = "low", "Debian has no fixed version"
            elif below:
                severity, advice = _told(severity), BELOW
            else:
                advice = INSTALLED
            what = f"{source} {version} ({names}): {record['summary'][:200]}"
            yield _finding(DPKG, record, what, advice, severity, source)


def _node(
    packages: Sequence[tuple[str, str, str]], below: Mapping[str, bytes], lock: str
) -> Iterator[gate.Finding]:
    advisories = osv.Advisories(ecosystem=osv.NPM)
    judged = {(one.name, one.version) for one in others.read(lock)[0]} if npm_locks.known(lock) else set()
    left = [one for one in packages if one[:2] not in judged]
    _read(advisories, {name for name, _, _ in left})
    for name, version, path in left:
        try:
            records = advisories.query(name, version)
        except ValueError:  # a folder of node_modules that the registry knows nothing of
            continue
        for record in records:
            fixes = _fixes(record)
            advice = (
                f"update to {' or '.join(fixes)} where the Dockerfile installs it"
                if fixes
                else others.REPLACE
            )
            severity = advisories.severity(name, record["id"])
            if path in below:  # npm itself, say
                severity, advice = _told(severity), BELOW
            yield _finding(
                path, record, f"{name} {version}: {record['summary'][:200]}", advice, severity, name
            )


def _told(severity: str) -> str:
    return "low" if severity == "low" else "medium"


def _read(advisories: osv.Advisories, names: set[str]) -> None:
    if wrong := advisories.unreadable(names):
        raise gate.CannotEvaluate(
            f"{len(wrong)} advisories of packages of the image cannot be read: {'; '.join(wrong[:5])}: "
            "mend the copy of the advisories"
        )


def _fixes(record: dict[str, Any]) -> list[str]:
    return [
        event["fixed"]
        for entry in record["affected"]
        for span in entry["ranges"]
        for event in span["events"]
        if "fixed" in event
    ]


def _finding(
    path: str, record: dict[str, Any], what: str, advice: str, severity: str, context: str
) -> gate.Finding:
    aliases = tuple(record["aliases"])
    also = "".join(f" ({one})" for one in aliases[:1])
    return gate.Finding(path, 0, record["id"], what + also, advice, severity, context, aliases)
