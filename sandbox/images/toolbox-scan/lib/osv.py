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
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gate import CannotEvaluate
from packaging.version import InvalidVersion, Version

FOLDER = Path("/opt/slipway/advisories")
MAX_AGE_DAYS = 30


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class Advisories:
    """The records by package; loaded whole or not at all."""

    def __init__(
        self, folder: Path = FOLDER, now: datetime | None = None, max_age_days: str | None = None
    ) -> None:
        """Reads and checks the data: present, as the metadata says, and not older than allowed.

        :raises CannotEvaluate: if any of that does not hold.
        """
        try:
            self.metadata: dict[str, Any] = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
            published = datetime.fromisoformat(self.metadata["published"])
            raw = (folder / "pypi.jsonl").read_bytes()
            if hashlib.sha256(raw).hexdigest() != self.metadata["sha256"]:
                raise CannotEvaluate(
                    f"the advisories of {folder} are not those that metadata.json describes: "
                    "build the toolbox anew"
                )
            records = [json.loads(line) for line in raw.splitlines()]
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
        if not records or len(records) != self.metadata["records"]:
            raise CannotEvaluate(
                f"{len(records)} advisories where metadata.json promises {self.metadata['records']}"
            )
        self.by_package: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for record in records:
            for name in {affected["package"]["name"] for affected in record["affected"]}:
                self.by_package[name].append(record)

    def __len__(self) -> int:
        return int(self.metadata["records"])

    def query(self, name: str, version: str) -> list[dict[str, Any]]:
        """The records that affect a version, each cut down to the entries that do."""
        found = []
        for record in self.by_package.get(normalised(name), []):
            entries = [
                entry
                for entry in record["affected"]
                if entry["package"]["name"] == normalised(name) and affects(entry, version)
            ]
            if entries:
                found.append({**record, "affected": entries})
        return found

    def sample(self) -> tuple[str, str, str]:
        """A package and version that are known to be affected, and by which record."""
        for record in self.by_package["requests"]:
            return "requests", "2.0.0", record["id"]
        raise CannotEvaluate("the advisories know nothing of the package `requests`: that is no copy of them")


def affects(entry: dict[str, Any], version: str) -> bool:
    """Whether an `affected` entry holds a version.

    One that cannot be compared counts as held: better looked at than missed.
    """
    if version in entry.get("versions", []):
        return True
    try:
        wanted = Version(version)
        for span in entry.get("ranges", []):
            inside = False
            for event in span["events"]:
                ((kind, limit),) = event.items()
                if kind == "introduced" and (limit == "0" or wanted >= Version(limit)):
                    inside = True
                elif (kind == "fixed" and wanted >= Version(limit)) or (
                    kind == "last_affected" and wanted > Version(limit)
                ):
                    inside = False
            if inside:
                return True
    except InvalidVersion:
        return True
    return False


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
