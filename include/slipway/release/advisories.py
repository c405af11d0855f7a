"""Advisories as the scanner reads them: records of OSV (https://ossf.github.io/osv-schema/), cut down to what a verdict needs.

They are of one ecosystem, a record a line, beside a file that says whose they are, of when, and what they must be byte for byte.
What is not as the schema says is refused: half-read advisories are worse than those of yesterday.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

FILES = {
    "PyPI": ("pypi.jsonl", "metadata.json"),
    "npm": ("npm.jsonl", "npm.json"),
    "Go": ("go.jsonl", "go.json"),
    "Debian": ("debian.jsonl", "debian.json"),
    "Maven": ("maven.jsonl", "maven.json"),
}
"""The ecosystems that the scanner knows, by OSV's names, and its files of each: the records, and what they are."""

SUMMARY = 300
_SUITE = re.compile(r"^(Version|Date|Valid-Until): *(.+)$", re.MULTILINE)


class Malformed(ValueError):
    """What was given is not as the schema says."""


@dataclass(frozen=True)
class Export:
    """The advisories of an ecosystem.

    :param source: where they are from, in words. :param published: of when they are. :param records: as the scanner reads them.
    """

    ecosystem: str
    source: str
    published: datetime
    records: tuple[dict[str, Any], ...]

    @property
    def releases(self) -> list[str]:
        """Give the releases that its packages are of, such as `12` of `Debian:12`; none where an ecosystem has none."""
        kinds = {entry["package"]["ecosystem"] for one in self.records for entry in one["affected"]}
        return sorted({kind.partition(":")[2] for kind in kinds} - {""})

    def files(self) -> dict[str, bytes]:
        """Give the scanner's files."""
        lines = "".join(
            json.dumps(one, sort_keys=True, separators=(",", ":")) + "\n" for one in self.records
        ).encode()
        said = {
            "source": self.source,
            "published": self.published.isoformat(),
            "records": len(self.records),
            "sha256": hashlib.sha256(lines).hexdigest(),
            "releases": self.releases,
        }
        records, described = FILES[self.ecosystem]
        return {records: lines, described: (json.dumps(said, indent=1) + "\n").encode()}


def export(ecosystem: str, source: str, records: Iterable[Any], published: datetime | None = None) -> Export:
    """Give the advisories that an export of OSV's has of an ecosystem.

    :param published: of when they are; None takes that of the newest record.
    :raises Malformed: if a record is not as the schema says, or there is none of the ecosystem.
    """
    found: dict[str, dict[str, Any]] = {}
    newest = datetime.min.replace(tzinfo=UTC)
    for record in records:
        try:
            newest = max(
                newest, *(_time(record[key]) for key in ("modified", "published") if record.get(key))
            )
            if cut := _cut(record, ecosystem):
                found[cut["id"]] = cut
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            name = record.get("id") if isinstance(record, dict) else None
            raise Malformed(f"record {str(name)[:80]} is none of OSV's: {error!r}") from error
    if not found:
        raise Malformed(f"it has no record of {ecosystem}")
    return Export(ecosystem, source, published or newest, tuple(found[key] for key in sorted(found)))


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text[:40]!r} has no time zone")
    return time


def _cut(record: dict[str, Any], ecosystem: str) -> dict[str, Any] | None:
    """Give what a verdict needs of a record; None if it was withdrawn, or is of other ecosystems."""
    if not isinstance(record["id"], str):
        raise TypeError("its id is no text")
    if record.get("withdrawn") is not None:
        return None
    affected = [
        {
            "package": {"ecosystem": package["ecosystem"], "name": package["name"]},
            **_kept(entry, ("versions", "severity")),
            "ranges": [
                {"type": span["type"], "events": span["events"]}
                for span in entry.get("ranges") or []
                if span["type"] != "GIT"
            ],
            **_rated(entry),
        }
        for entry in record.get("affected") or []
        if (package := entry.get("package")) and package["ecosystem"].partition(":")[0] == ecosystem
    ]
    if not affected:
        return None
    return {
        "id": record["id"],
        "summary": str(record.get("summary") or record.get("details") or "")[:SUMMARY],
        **_kept(record, ("aliases", "severity")),
        **_rated(record),
        "affected": affected,
    }


def _kept(of: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    return {key: of[key] for key in keys if of.get(key)}


def _rated(of: Mapping[str, Any]) -> dict[str, Any]:
    """Give the words in which a database rates what it says."""
    found = {}
    for key in ("database_specific", "ecosystem_specific"):
        more = of.get(key)
        if isinstance(more, Mapping) and (said := _kept(more, ("severity", "urgency"))):
            found[key] = said
    return found


@dataclass(frozen=True)
class Suite:
    """What Debian's archive has of a release's security updates.

    :param release: its number. :param date: of the lists. :param packages: the list, as apt has it (deb822).
    """

    release: str
    date: datetime
    packages: str


def suite(signed: str, packages: str) -> Suite:
    """Read a suite's `InRelease` and its list of packages.

    :raises Malformed: if the former does not say of which release and when it is.
    """
    said = {key: value.strip() for key, value in _SUITE.findall(signed)}
    try:
        return Suite(said["Version"].partition(".")[0], parsedate_to_datetime(said["Date"]), packages)
    except (KeyError, ValueError) as error:
        raise Malformed(f"InRelease does not say of which release and when it is: {error!r}") from error


def of_debian(suites: Iterable[Suite]) -> Export:
    """Give what Debian's security archive says by its updates: what is older than the update is vulnerable.

    It names no CVE, and does not rate what it mends: minor faults wait for the next point release, so an update is rated `high`.

    :raises Malformed: if a list has no package.
    """
    found: dict[str, dict[str, Any]] = {}
    suites = list(suites)
    for one in suites:
        versions = set(_sources(one.packages))
        if not versions:
            raise Malformed(f"the list of Debian {one.release} has no package")
        for source, version in sorted(versions):
            id_ = f"DEBIAN-{one.release}-SECURITY-{source}-{version}"
            found[id_] = {
                "id": id_,
                "summary": f"Debian's security archive has {source} {version}",
                "database_specific": {"severity": "HIGH"},
                "affected": [
                    {
                        "package": {"ecosystem": f"Debian:{one.release}", "name": source},
                        "ranges": [
                            {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": version}]}
                        ],
                    }
                ],
            }
    oldest = min((one.date for one in suites), default=None)
    if oldest is None:
        raise Malformed("there is no suite")
    return Export("Debian", "Debian's security archive", oldest, tuple(found[key] for key in sorted(found)))


def _sources(packages: str) -> Iterator[tuple[str, str]]:
    """Give the source packages of a list with their versions; one may stand there in several."""
    for part in packages.split("\n\n"):
        fields = (line.partition(":") for line in part.split("\n") if not line.startswith(" "))
        said = {key: value.strip() for key, mark, value in fields if mark}
        if said.get("Package") and said.get("Version"):
            source, _, version = said.get("Source", said["Package"]).partition(" ")
            yield source, version.strip("()") or said["Version"]
