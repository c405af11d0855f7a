"""The names of a release: service, commit and repeat always give the same run id: repeats are harmless."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from slipway.errors import CatalogError

_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")  # SHA-1 and SHA-256 object names
_RUN = re.compile(
    r"(?P<service>[a-z0-9]([-a-z0-9]*[a-z0-9])?)\.(?P<commit>[0-9a-f]{12})(\.r(?P<repeat>[1-9][0-9]*))?"
)


@dataclass(frozen=True)
class RunId:
    """A run id taken apart. `repeat` is 0 for the first run of a commit."""

    service: str
    commit12: str
    repeat: int = 0

    def __str__(self) -> str:
        return f"{self.service}.{self.commit12}" + (f".r{self.repeat}" if self.repeat else "")


def short(commit: str) -> str:
    """Gives the first 12 characters of a full commit name.

    :raises CatalogError: when `commit` is not a full lower-case object name.
    """
    if not _COMMIT.fullmatch(commit):
        raise CatalogError(
            f"`{commit[:80]}` is not a full commit name of 40 (or 64) lower-case hexadecimal digits.",
            code="commit.not-full",
            remedy="Give the output of `git rev-parse COMMIT`.",
        )
    return commit[:12]


def run_id(service: str, commit: str, repeat: int = 0) -> str:
    """Gives `<service>.<commit12>[.rN]`: the DAG run id of a release and its key in the ledger."""
    return str(parse_run_id(str(RunId(service, short(commit), repeat))))


def label(run_id: str) -> str:
    """Gives any run id, also one that Airflow made (`manual__2026-01-01T00:00:00+00:00`), as a DNS-1123 label.

    Of 40 characters at most, so that a prefix and a suffix fit, and different for different runs: the ids of
    releases only have their dots replaced; any other ends with 10 digits of its hash, which no commit (12) does.
    """
    plain = run_id.replace(".", "-")
    if _RUN.fullmatch(run_id) and len(plain) <= 40:
        return plain
    readable = re.sub("[^a-z0-9]+", "-", run_id.lower())[:29].strip("-") or "run"
    return f"{readable}-{hashlib.sha256(run_id.encode()).hexdigest()[:10]}"


def parse_run_id(text: str) -> RunId:
    """Takes a run id apart; the inverse of :func:`run_id`.

    :raises CatalogError: when the text is none, such as the one Airflow gives a run triggered without.
    """
    if not (match := _RUN.fullmatch(text)):
        raise CatalogError(
            f"`{text[:200]}` is not the run id of a release: <service>.<commit, 12 digits>[.r<repeat>].",
            code="release.run-id-malformed",
            remedy="Start releases with git push or `slipway release SERVICE [COMMIT]`, which name the run.",
        )
    return RunId(match["service"], match["commit"], int(match["repeat"] or 0))
