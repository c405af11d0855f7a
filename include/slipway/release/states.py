"""What a stage or a release can end as, and how a release moves from one state to the next."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

from slipway.errors import Permanent


class Outcome(StrEnum):
    """How a stage ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SKIPPED = "skipped"
    SUPERSEDED = "superseded"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


class Status(StrEnum):
    """Where a release is: running, or how it ended (a whole release is never `skipped`)."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    SUPERSEDED = "superseded"
    UNCHANGED = "unchanged"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled_back"
    CANCELLED = "cancelled"


# Which stage decides, strongest first. A verdict on the commit (failed) outweighs what only kept us from one.
_DECIDES = (
    Outcome.ROLLED_BACK,
    Outcome.FAILED,
    Outcome.REJECTED,
    Outcome.SUPERSEDED,
    Outcome.UNCHANGED,
    Outcome.ERRORED,
    Outcome.CANCELLED,
)
_RERUN = frozenset(Status) - {Status.RUNNING, Status.REJECTED}
# "Clear" of a late task in Airflow reruns it and the report without `begin`: one such end may follow another. A release
# that passed may then be superseded, by one that was deployed since. A rejected one must begin again.
_NEXT: Mapping[Status, frozenset[Status]] = {
    Status.RUNNING: frozenset(Status),
    **dict.fromkeys(_RERUN, _RERUN),
    Status.REJECTED: frozenset({Status.REJECTED}),
}


def begin(status: Status | None) -> Status:
    """Gives the status of a release that begins, for the first time (None) or again after "Clear"."""
    return Status.RUNNING


def finish(status: Status, end: Status) -> Status:
    """Gives the status of a release in `status` that ends as `end`. The same end twice is harmless.

    :raises Permanent: when the release cannot end so.
    """
    if end is Status.RUNNING or end not in _NEXT[status]:
        legal = sorted(_NEXT[status] - {Status.RUNNING})
        raise Permanent(
            f"A release that is {status} cannot end as {end} (legal: {', '.join(legal)}).",
            code="release.end-not-legal",
            remedy="Clear the run's first task, so that the release begins again.",
        )
    return end


def decisive(stages: Mapping[str, Outcome]) -> str | None:
    """Gives the name of the stage that decides the release: the first with the strongest outcome, if bad."""
    for outcome in _DECIDES:
        for name, found in stages.items():
            if found is outcome:
                return name
    return None


def fold(stages: Mapping[str, Outcome], required: Collection[str] = ()) -> Status:
    """Gives the release's end from those of its stages.

    :param required: stages without which nothing has passed: one that is missing or skipped makes the release
        `errored`, since a gate that was not evaluated is not a passed gate.
    """
    if name := decisive(stages):
        return Status(stages[name].value)
    unevaluated = any(stages.get(name) is not Outcome.PASSED for name in required)
    return Status.PASSED if Outcome.PASSED in stages.values() and not unevaluated else Status.ERRORED
