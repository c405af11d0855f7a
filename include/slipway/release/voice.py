"""What is said of a release: on its commit one word of a forge's vocabulary, a line, and a link; to people a message. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from slipway.errors import plain
from slipway.release.states import Status

LINE_MOST = 140
"""Characters of a line: GitHub takes no more."""


class Said(StrEnum):
    """What a commit's status says; forges have words of their own for some."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    SKIPPED = "skipped"


_OF = {
    Status.RUNNING: Said.PENDING,
    Status.PASSED: Said.SUCCESS,
    Status.UNCHANGED: Said.SUCCESS,
    Status.FAILED: Said.FAILURE,
    Status.REJECTED: Said.FAILURE,
    Status.ROLLED_BACK: Said.FAILURE,
    Status.ERRORED: Said.ERROR,
    Status.CANCELLED: Said.ERROR,
    Status.SUPERSEDED: Said.SKIPPED,
}


@dataclass(frozen=True)
class Word:
    """A commit's status.

    :param context: whose it is: one for each environment and service, of which a repository may hold several.
    """

    said: Said
    context: str
    line: str
    url: str


def word(
    *,
    service: str,
    environment: str,
    status: Status,
    run_id: str,
    airflow: str,
    stage: str | None = None,
    reason: str | None = None,
    superseded_by: str | None = None,
) -> Word:
    """Give the status of a release's commit."""
    first = next((line.strip() for line in (reason or "").splitlines() if line.strip()), "")
    lines = {
        Status.RUNNING: "the release runs",
        Status.PASSED: "released and healthy",
        Status.UNCHANGED: "nothing of the service has changed",
        Status.SUPERSEDED: f"superseded by {superseded_by}" if superseded_by else "superseded by a newer one",
    }
    at = f" at {stage}" if stage else ""
    line = lines.get(status) or f"{status.replace('_', ' ')}{at}{f': {first}' if first else ''}"
    return Word(
        _OF[status],
        f"slipway/{environment}/{service}",
        plain(line, LINE_MOST),
        f"{airflow.rstrip('/')}/slipway/runs/{run_id}",
    )


MESSAGE_MOST = 2_500
"""Characters of a message: Slack cuts a block off at 3 000."""
_WENT_WELL = frozenset({Status.PASSED, Status.SUPERSEDED, Status.UNCHANGED})


@dataclass(frozen=True)
class Message:
    """What people are told when a release has ended, as plain text.

    :param end: the status, or ``recovered``.
    """

    end: str
    title: str
    text: str
    url: str


def end_of(status: Status, before: Status | None) -> str:
    """Give how a release ended for those who are told: a pass is a recovery where the release before it went wrong."""
    went_wrong = before is not None and before not in _WENT_WELL and before is not Status.RUNNING
    return "recovered" if status is Status.PASSED and went_wrong else status.value


def message(
    *,
    service: str,
    environment: str,
    commit: str,
    end: str,
    url: str,
    subject: str = "",
    stage: str | None = None,
    reason: str | None = None,
    steps: Sequence[str] = (),
) -> Message:
    """Give the message of a release's end: what, where, the first lines of why, what to do, and a link.

    :param subject: the commit's first line and author, if they are known. :param steps: what a person may do.
    """
    at = f" at {stage}" if stage else ""
    title = plain(f"{service} {commit[:12]} {end.replace('_', ' ')}{at} ({environment})", LINE_MOST)
    why = [line for line in (reason or "").splitlines() if line.strip()][:6]
    lines = [*([subject] if subject else []), *why, *(f"How to go on: {step}" for step in steps), url]
    return Message(end, title, plain("\n".join(lines), MESSAGE_MOST), url)
