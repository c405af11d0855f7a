"""Where is this release? One answer to all who come upon one: its own rollback, one by hand, a cleared task, who finds its lane.

Each of them may come at any moment, after a kill -9 or a *Clear*, and finds what others have left. What is known is read first
(:class:`World`), then this says where that is, and then each decides what it does: by the word, not by the facts once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slipway.release.states import Status


class Where(StrEnum):
    """Where a release is, seen from its environment."""

    UNKNOWN = "unknown"
    """There is no record of it: its first task has not run."""
    BEFORE = "before"
    """It is under way, and nothing of it is deployed: at its gates, or waiting for the lane."""
    ABANDONED = "abandoned"
    """Its record says that it is under way, and its run has ended: it was killed before it could say how."""
    ENDED = "ended"
    """It has ended, and is not what is deployed."""
    DEPLOYED = "deployed"
    """Its manifests are what was applied last: all of them, or as far as it came."""
    RETURNING = "returning"
    """It was left for an earlier one, which does not serve yet, as far as is known."""
    RETURNED = "returned"
    """It was left for an earlier one, and that serves."""
    OVERTAKEN = "overtaken"
    """Another one was deployed since, so that nothing is its to change."""


class Lane(StrEnum):
    """Whose the lane of its environment is, seen from a run."""

    FREE = "free"
    OURS = "ours"
    ANOTHERS = "another's"
    DEAD = "a dead one's"
    """Of a run that has ended without leaving it: whoever finds it so may take it."""


@dataclass(frozen=True)
class World:
    """What is known of a release and its environment at one moment.

    :param status: by its record; None if there is none.
    :param goes_on: whether its run does, by Airflow's word; None if nobody has asked.
    :param active: run id of the release whose manifests were applied last here; None if none ever was.
    :param left_for: run id of the earlier release that it was, or is being, left for.
    :param overtaken_by: run id of one that was asked for later, and was deployed.
    :param serves: whether the release that is to serve here does, by the cluster; None if it was not looked at.
    """

    run_id: str
    status: Status | None
    goes_on: bool | None = None
    active: str | None = None
    left_for: str | None = None
    overtaken_by: str | None = None
    serves: bool | None = None


@dataclass(frozen=True)
class Position:
    """Where a release is, and why that is said, in words for a log.

    :param by: run id of the release that was asked for later and deployed, if that is why nothing is this one's to change.
    """

    where: Where
    why: str
    by: str | None = None

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


def where(world: World) -> Position:
    """Give where a release is. What is deployed goes before what is recorded of a run, since that may be cleared at any time."""
    if world.status is None:
        return Position(Where.UNKNOWN, f"there is no record of {world.run_id}")
    if world.active == world.run_id:
        return Position(Where.DEPLOYED, f"{world.run_id} is what is deployed")
    if world.left_for:
        if world.active not in (world.left_for, None):
            why = f"{world.active} was deployed since {world.left_for} was"
            return Position(Where.OVERTAKEN, why, world.overtaken_by)
        if world.serves:
            return Position(Where.RETURNED, f"{world.left_for} serves again")
        return Position(Where.RETURNING, f"it was left for {world.left_for}")
    if world.overtaken_by:
        why = f"{world.overtaken_by}, which was asked for later, was deployed"
        return Position(Where.OVERTAKEN, why, world.overtaken_by)
    if world.status is not Status.RUNNING:
        return Position(Where.ENDED, f"it has ended {world.status}, and nothing of it is deployed")
    if world.goes_on is False:
        return Position(Where.ABANDONED, "its run has ended, and nothing says how")
    return Position(Where.BEFORE, "nothing of it is deployed")


def lane(run_id: str, holder: str | None, *, holder_goes_on: bool | None) -> Lane:
    """Give whose the lane is.

    :param holder: run that has it. None: nobody has, or whoever had has not been heard of for too long.
    :param holder_goes_on: whether that run does, by Airflow's word; None if it is no run that Airflow knows of.
    """
    if holder is None:
        return Lane.FREE
    if holder == run_id:
        return Lane.OURS
    return Lane.DEAD if holder_goes_on is False else Lane.ANOTHERS


class Step(StrEnum):
    """What a rollback does next."""

    NOTHING = "nothing"
    CHOOSE = "choose"
    """Choose what to return to, and return to it."""
    RESTORE = "restore"
    """Go on, or once more, with the one that was chosen: repeats are harmless."""
    TELL = "tell"
    """It was rolled back, and something else is deployed by now: only say so."""
    REFUSE = "refuse"
    """What was to be left is not what is deployed any more: going back would undo another's work."""


def own_rollback(position: Position, left_for: str | None, *, has_failed: bool) -> Step:
    """Decide what the rollback of a release does that one of its stages has gone wrong in.

    :param left_for: what it is, or is being, left for by its record.
    :param has_failed: whether that was a verdict on the commit. What only errored is none: all stays, and *Clear* goes on.
    """
    match position.where:
        case Where.DEPLOYED if has_failed:
            return Step.CHOOSE
        case Where.RETURNING | Where.RETURNED:
            return Step.RESTORE
        case Where.OVERTAKEN if left_for:
            return Step.TELL
    return Step.NOTHING


def rollback_by_hand(position: Position, left_for: str | None, *, to: str) -> Step:
    """Decide how a rollback by hand goes on that has chosen what it leaves and what for.

    :param position: of the release that is left, and ``left_for`` what it is left for by its record.
    :param to: run id of the release that was chosen.
    """
    match position.where:
        case Where.DEPLOYED:
            return Step.RESTORE
        case Where.RETURNING | Where.RETURNED if left_for == to:
            return Step.RESTORE
    return Step.REFUSE
