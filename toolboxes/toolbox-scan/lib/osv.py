"""Advisories in OSV's form, and the part of OSV's query API that pip-audit asks, served on loopback.

https://ossf.github.io/osv-schema/ (evaluation of ranges), https://google.github.io/osv.dev/post-v1-query/
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import total_ordering
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import zip_longest
from pathlib import Path
from typing import Any

from cvss import CVSS2, CVSS3, CVSS4
from cvss.exceptions import CVSSError
from gate import CannotEvaluate
from maven_versions import MavenVersion
from packaging.version import Version

FOLDER = Path("/opt/slipway/advisories")
MAX_AGE_DAYS = 30


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@total_ordering
class Semantic:
    """A version of Semantic Versioning (https://semver.org/#spec-item-11). A leading `v` and build metadata count for nothing."""

    FORM = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")

    def __init__(self, text: str) -> None:
        match = self.FORM.fullmatch(text)
        if not match:
            raise ValueError(f"{text[:80]!r} is no semantic version")
        before = match[4]
        parts = (
            tuple((0, int(one), "") if one.isdigit() else (1, 0, one) for one in before.split("."))
            if before
            else ()
        )
        self.text = text
        # a version without a part before its release is newer than all with one
        self.key = (tuple(int(one or 0) for one in match.groups()[:3]), not before, parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Semantic) and self.key == other.key

    def __lt__(self, other: Semantic) -> bool:
        return self.key < other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.text


@total_ordering
class Debians:
    """A version of Debian's, in dpkg's order (deb-version(7)): `~` sorts before the end, letters before other signs."""

    FORM = re.compile(r"(?:(\d+):)?([0-9][A-Za-z0-9.+~:-]*?)(?:-([A-Za-z0-9.+~]+))?")
    END = ((0,), 0)

    def __init__(self, text: str) -> None:
        match = self.FORM.fullmatch(text)
        if not match:
            raise ValueError(f"{text[:80]!r} is no version of Debian's")
        self.text = text
        self.key = (int(match[1] or 0), self._parts(match[2]), self._parts(match[3] or ""))

    @staticmethod
    def _order(sign: str) -> int:
        return -1 if sign == "~" else ord(sign) + 256 * (not sign.isalpha())

    @staticmethod
    def _parts(text: str) -> tuple[tuple[tuple[int, ...], int], ...]:
        found = [
            ((*map(Debians._order, signs), 0), int(digits or 0))
            for signs, digits in re.findall(r"(\D*)(\d*)", text)
        ]
        while found and found[-1] == Debians.END:
            found.pop()
        return tuple(found)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Debians) and self.key == other.key

    def __lt__(self, other: Debians) -> bool:
        if self.key[0] != other.key[0]:
            return self.key[0] < other.key[0]
        # the shorter goes on with its end for ever: what follows in the other may come before that
        for mine, theirs in zip(self.key[1:], other.key[1:], strict=True):
            for one, two in zip_longest(mine, theirs, fillvalue=self.END):
                if one != two:
                    return one < two
        return False

    def __hash__(self) -> int:
        return hash(self.key)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Ecosystem:
    """Whose packages advisories are of: its name in OSV, its files here, and how its names and versions compare.

    `by_release`: a package is one of a release, and named so (`12/openssl` for `Debian:12`).
    """

    name: str
    records: str
    metadata: str
    version: Callable[[str], Any]
    normalised: Callable[[str], str] = str
    least: str = "0.0.0-0"
    by_release: bool = False


PYPI, NPM, GO, DEBIAN, MAVEN = "PyPI", "npm", "Go", "Debian", "Maven"
ECOSYSTEMS = {
    PYPI: Ecosystem(PYPI, "pypi.jsonl", "metadata.json", Version, normalised, "0.dev0"),
    NPM: Ecosystem(NPM, "npm.jsonl", "npm.json", Semantic),
    GO: Ecosystem(GO, "go.jsonl", "go.json", Semantic),
    DEBIAN: Ecosystem(DEBIAN, "debian.jsonl", "debian.json", Debians, least="0~", by_release=True),
    MAVEN: Ecosystem(MAVEN, "maven.jsonl", "maven.json", MavenVersion, least="0-alpha"),
}


def is_wanted(ecosystem: str, folder: Path = FOLDER) -> bool:
    """Whether packages of an ecosystem are to be judged: its advisories are here, or the platform names a source of them."""
    named = os.environ.get("SLIPWAY_ADVISORIES_OF", "").split()
    return ecosystem in named or (folder / ECOSYSTEMS[ecosystem].metadata).is_file()


class Advisories:
    """The records of an ecosystem by package; loaded whole or not at all."""

    def __init__(
        self,
        folder: Path = FOLDER,
        now: datetime | None = None,
        max_age_days: str | None = None,
        ecosystem: str = PYPI,
    ) -> None:
        """Reads and checks the data: present, as the metadata says, and not older than allowed.

        :raises CannotEvaluate: if any of that does not hold.
        """
        self.ecosystem = ECOSYSTEMS[ecosystem]
        described, listed = folder / self.ecosystem.metadata, folder / self.ecosystem.records
        if ecosystem != PYPI and not described.is_file() and not listed.is_file():
            raise CannotEvaluate(
                f"there are no advisories of {ecosystem} here: name a source of them under `advisories.sources` of the platform "
                "file, and have them fetched (`slipway advisories update`, or the nightly refresh); or switch the gate off with "
                "a reason and a last day"
            )
        try:
            self.metadata: dict[str, Any] = json.loads(described.read_text(encoding="utf-8"))
            published = datetime.fromisoformat(self.metadata["published"])
            if published.tzinfo is None:
                raise ValueError("`published` has no time zone")
            raw = listed.read_bytes()
            if hashlib.sha256(raw).hexdigest() != self.metadata["sha256"]:
                raise CannotEvaluate(
                    f"the advisories of {folder} are not those that metadata.json describes: "
                    "build the toolbox anew"
                )
            self._lines, count = self._by_package(raw.splitlines(), folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CannotEvaluate(
                f"the advisories of {folder} are missing or broken ({error}): build the toolbox anew"
            ) from error
        given = (
            os.environ.get("SLIPWAY_ADVISORIES_MAX_AGE_DAYS", "") if max_age_days is None else max_age_days
        )
        if not re.fullmatch(r"\d*", given):
            raise CannotEvaluate(f"SLIPWAY_ADVISORIES_MAX_AGE_DAYS={given!r} is no number of days")
        allowed = int(given or MAX_AGE_DAYS)
        self.age_days = ((now or datetime.now(UTC)) - published).days
        if self.age_days > allowed:
            raise CannotEvaluate(
                f"the advisories are stale: {self.metadata['source']} of {published:%Y-%m-%d} is "
                f"{self.age_days} days old, {allowed} are allowed (advisories.max_age_days of the platform): "
                "build the toolbox with newer ones"
            )
        if not count or count != self.metadata["records"]:
            raise CannotEvaluate(
                f"{count} advisories where metadata.json promises {self.metadata['records']}"
            )
        self._read: dict[str, tuple[list[Record], list[str]]] = {}

    def _by_package(self, lines: list[bytes], folder: Path) -> tuple[dict[str, list[bytes]], int]:
        """The records of each package as they are written, and how many there are: they are many, and few are asked for."""
        found: dict[str, list[bytes]] = defaultdict(list)
        for number, line in enumerate(lines, 1):
            try:
                for name in packages(json.loads(line), self.ecosystem):
                    found[name].append(line)
            except Unreadable as error:
                raise CannotEvaluate(
                    f"record {number} of the advisories of {folder} cannot be read ({error}): "
                    "mend the copy of the advisories"
                ) from error
        return found, len(lines)

    @property
    def releases(self) -> frozenset[str]:
        """The releases that there are advisories of, where packages are of a release."""
        return frozenset(self.metadata.get("releases") or ())

    def _of(self, name: str) -> tuple[list[Record], list[str]]:
        """The records of a package, and what of them could not be read; of other packages it says nothing about a lock."""
        name = self.ecosystem.normalised(name)
        if name not in self._read:
            found: list[Record] = []
            wrong: list[str] = []
            for line in self._lines.get(name, []):
                try:
                    found += [one for of, one in read(json.loads(line), self.ecosystem).items() if of == name]
                except Unreadable as error:
                    wrong.append(str(error))
            self._read[name] = found, wrong
        return self._read[name]

    def __len__(self) -> int:
        return int(self.metadata["records"])

    def unreadable(self, names: Iterable[str]) -> list[str]:
        """What could not be read of the records of these packages."""
        return sorted({said for name in names for said in self._of(name)[1]})

    def query(self, name: str, version: str) -> list[dict[str, Any]]:
        """The records that affect a version, as pip-audit wants them, each cut down to this package."""
        return [one.told for one in self._of(name)[0] if one.affects(version)]

    def severity(self, name: str, id_: str) -> str:
        """How bad a record says that it is; `unknown` if it does not."""
        known = (one.severity for one in self._of(name)[0] if one.told["id"] == id_)
        return next(known, "unknown")

    def sample(self) -> tuple[str, str, str]:
        """A package and version that are known to be affected, and by which record."""
        for record in self.query("requests", "2.0.0"):
            return "requests", "2.0.0", record["id"]
        raise CannotEvaluate("the advisories know nothing of the package `requests`: that is no copy of them")


class Unreadable(Exception):
    """A record that is not as OSV's schema says."""


@dataclass(frozen=True)
class Range:
    """A range of versions: its events in the order in which they are gone through, and its limits."""

    events: tuple[tuple[Any, str], ...]  # None: before every version
    limits: tuple[Any, ...]

    def holds(self, version: Any) -> bool:
        """Whether it holds a version, as https://ossf.github.io/osv-schema/#evaluation says."""
        if self.limits and not any(version < limit for limit in self.limits):
            return False
        is_inside = False
        for at, kind in self.events:
            if kind == "introduced" and (at is None or version >= at):
                is_inside = True
            elif at is not None and (
                (kind == "fixed" and version >= at) or (kind == "last_affected" and version > at)
            ):
                is_inside = False
        return is_inside


@dataclass(frozen=True)
class Record:
    """What one record says of one package."""

    versions: frozenset[Any]
    ranges: tuple[Range, ...]
    told: dict[str, Any]
    severity: str = "unknown"
    ecosystem: Ecosystem = field(default_factory=lambda: ECOSYSTEMS[PYPI])

    def affects(self, version: str) -> bool:
        """Whether it affects a version; a local one (2.0+cu118) is taken for its public one, too: a build of the same."""
        exact = self.ecosystem.version(version)
        same = {exact, Version(exact.public)} if isinstance(exact, Version) else {exact}
        return any(one in self.versions or any(span.holds(one) for span in self.ranges) for one in same)


def packages(record: Any, ecosystem: Ecosystem) -> dict[str, list[dict[str, Any]]]:
    """Which packages of an ecosystem a record is about, by normalised name, with its entries of each; none if it was withdrawn.

    :raises Unreadable: if that cannot be told.
    """
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        raise Unreadable("it has no id")
    if record.get("withdrawn") is not None:
        return {}
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    try:
        for entry in record.get("affected") or []:
            package = entry.get("package") or {}  # without one it speaks of commits of a repository alone
            kind, _, release = package.get("ecosystem", "").partition(":")
            if kind == ecosystem.name:
                name = ecosystem.normalised(package["name"])
                by_name[f"{release}/{name}" if ecosystem.by_release else name].append(entry)
    except (AttributeError, KeyError, TypeError) as error:
        raise Unreadable(f"{record['id']}: its packages cannot be told: {error!r}") from error
    return by_name


def read(record: Any, ecosystem: Ecosystem | None = None) -> dict[str, Record]:
    """What a record says of each package of an ecosystem (PyPI), by normalised name; nothing if it was withdrawn.

    :raises Unreadable: if it is not as the schema says.
    """
    ecosystem = ecosystem or ECOSYSTEMS[PYPI]
    found = packages(record, ecosystem)
    return {name: _record(record, name, entries, ecosystem) for name, entries in found.items()}


def _record(record: dict[str, Any], name: str, entries: list[dict[str, Any]], ecosystem: Ecosystem) -> Record:
    try:
        spans = [span for entry in entries for span in entry.get("ranges") or []]
        versions = [version for entry in entries for version in entry.get("versions") or []]
        ranges = tuple(
            _range(span, ecosystem) for span in spans if span["type"] != "GIT"
        )  # commits are no versions
        if not all(isinstance(version, str) for version in versions):
            raise TypeError("a version is no text")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"{record['id']} of {name}: {error!r}") from error
    fixes = [{"fixed": str(at)} for span in ranges for at, kind in span.events if kind == "fixed"]
    told = {
        "id": record["id"],
        "aliases": record.get("aliases") or [],
        "summary": record.get("summary") or record.get("details") or "",
        "affected": [
            {
                "package": {"ecosystem": ecosystem.name, "name": name},
                "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, *fixes]}],
            }
        ],
    }
    rated = _severity(
        [*(record.get("severity") or []), *(one for e in entries for one in e.get("severity") or [])]
    )
    if rated == "unknown":
        rated = _said(record, entries)
    return Record(
        frozenset(filter(None, (_listed(one, ecosystem) for one in versions))), ranges, told, rated, ecosystem
    )


_VERSIONS = {"CVSS_V4": CVSS4, "CVSS_V3": CVSS3, "CVSS_V2": CVSS2}
_WORDS = {
    "CRITICAL": "critical",
    "HIGH": "high",
    "MODERATE": "medium",
    "MEDIUM": "medium",
    "LOW": "low",
    "UNIMPORTANT": "low",  # Debian's word
}


def _severity(vectors: list[Any]) -> str:
    """The rating of the worst of a record's vectors of CVSS; one that cannot be read rates nothing.

    A score of 0 is rated low: somebody has filed an advisory all the same.
    """
    worst = None
    for one in vectors:
        try:
            score = float(_VERSIONS[one["type"]](one["score"]).scores()[0])
        except (KeyError, TypeError, AttributeError, ValueError, CVSSError):
            continue
        worst = score if worst is None else max(worst, score)
    if worst is None:
        return "unknown"
    return next(
        (word for least, word in ((9, "critical"), (7, "high"), (4, "medium")) if worst >= least), "low"
    )


def _said(record: dict[str, Any], entries: list[dict[str, Any]]) -> str:
    """The word in which the record's database rates it (GitHub's and Debian's have one), where there is no vector."""
    for one in (record, *entries):
        for key in ("database_specific", "ecosystem_specific"):
            more = one.get(key)
            said = (more.get("severity") or more.get("urgency")) if isinstance(more, dict) else None
            if isinstance(said, str) and said.upper() in _WORDS:
                return _WORDS[said.upper()]
    return "unknown"


def _listed(version: str, ecosystem: Ecosystem) -> Any:
    """A version of a list. One that is none (from before PEP 440) is passed over: no pin, and so no lock, can name it."""
    try:
        return ecosystem.version(version)
    except ValueError:
        return None


_ORDER = {
    "fixed": 0,
    "introduced": 1,
    "last_affected": 2,
}  # at one version; what is fixed there may be introduced again


def _range(span: dict[str, Any], ecosystem: Ecosystem) -> Range:
    if span["type"] not in ("ECOSYSTEM", "SEMVER"):
        raise ValueError(f"a range of type {span['type']!r}")
    events: list[tuple[Any, str]] = []
    limits: list[Any] = []
    for event in span["events"]:
        ((kind, at),) = event.items()
        if kind == "limit":
            limits += [] if at == "*" else [ecosystem.version(at)]
        elif kind in _ORDER:
            events.append((None if kind == "introduced" and at == "0" else ecosystem.version(at), kind))
        else:
            raise ValueError(f"an event {kind!r}")
    if not any(kind == "introduced" for _, kind in events):
        raise ValueError("no event says since when")
    if any(event.get("limit") == "*" for event in span["events"]):
        limits = []  # no limit is above it
    least = ecosystem.version(ecosystem.least)
    ordered = sorted(events, key=lambda one: (one[0] is not None, one[0] or least, _ORDER[one[1]]))
    return Range(tuple(ordered), tuple(limits))


@contextmanager
def served(advisories: Advisories) -> Iterator[str]:
    """Serves the records on a free port of 127.0.0.1 and gives the address to query."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            known = self.path == "/v1/query" and asked.get("package", {}).get("ecosystem") == "PyPI"
            found = advisories.query(asked["package"]["name"], asked["version"]) if known else []
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200 if known else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Quiet: each package is one request."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
    finally:
        server.shutdown()
        server.server_close()
