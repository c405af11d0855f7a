"""What both engines have in common: changesets in their order, what of them is applied, and the plan that is kept to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from slipway_migrations.outcome import ServiceFailed, shortened

EXPAND, CONTRACT, ALL = "expand", "contract", "all"
PHASES = (EXPAND, CONTRACT, ALL)


@dataclass(frozen=True)
class Applied:
    """A row of the database's own history. `place` grows with time; one that is not run was only marked as if it were."""

    id: str
    phase: str
    place: int
    is_run: bool = True


@dataclass(frozen=True)
class Changeset:
    """A step of the changelog. `sql` is what is linted, `file` where a person finds it."""

    id: str
    phase: str
    checksum: str
    sql: str = ""
    file: str = ""


@dataclass(frozen=True)
class Callback:
    """SQL that the engine runs beside changesets.

    :param always: it runs at each update, also where no changeset is pending; else only beside one
    :param is_new: it is not as it was when it last ran in this database
    """

    id: str
    checksum: str
    sql: str
    file: str
    always: bool
    is_new: bool


@dataclass(frozen=True)
class LeftOut:
    """What the changelog holds and is not run here, and why."""

    id: str
    why: str


@dataclass(frozen=True)
class State:
    """A database beside a changelog: both in their own order.

    :param baseline: where a database begins that is older than its history, which is made by the next update
    """

    applied: Sequence[Applied]
    changelog: Sequence[Changeset]
    pending: Sequence[Changeset]
    callbacks: Sequence[Callback] = ()
    left_out: Sequence[LeftOut] = ()
    baseline: str | None = None

    def is_due(self, phase: str) -> bool:
        """Whether an update of this phase has anything to do."""
        if any(phase in (ALL, one.phase) for one in self.pending):
            return True
        at_once = self.baseline is not None or any(one.always and one.is_new for one in self.callbacks)
        return at_once and phase in (EXPAND, ALL)

    def running_callbacks(self) -> list[Callback]:
        """Give the callbacks that the next update runs: all beside a changeset, and by themselves where one has changed."""
        if self.pending:
            return list(self.callbacks)
        return [one for one in self.callbacks if one.always] if self.is_due(EXPAND) else []

    @property
    def revision(self) -> str | None:
        return self.applied[-1].id if self.applied else None

    def ordered(self) -> list[Changeset]:
        """Give every changeset that is known, in the changelog's order."""
        known = {one.id: one for one in (*self.changelog, *self.pending)}
        return list(known.values())


def fingerprint(changesets: Sequence[Changeset], callbacks: Sequence[Callback] = ()) -> str:
    """Give a hash over ids, checksums and phases in their order: what a release was planned with.

    Callbacks are of it whether they have run or not: an attempt that goes on runs them again.
    """
    facts = [[one.id, one.checksum, one.phase] for one in changesets]
    facts += [[one.id, one.checksum, "callback"] for one in callbacks]
    return hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()


def planned_sha(state: State) -> str:
    pending = {one.id for one in state.pending}
    return fingerprint([one for one in state.ordered() if one.id in pending], state.callbacks)


def require_planned(state: State, planned: str, named: Sequence[str] = ()) -> None:
    """See that what is pending is the planned set, or what is left of it.

    An attempt that was killed half-way has applied a part of the plan, and so have earlier phases. So what is pending now,
    together with the newest of what is applied, must have the plan's hash; how many of the newest does not matter, since
    one hash proves the ids, checksums, phases and the order of all.

    :param planned: `pending_sha` of the status that the plan was made of
    :param named: ids that were pending then, as far as the caller knows them; they are for the message only
    :raises ServiceFailed: it is something else
    """
    ordered = state.ordered()
    known = {one.id for one in ordered}
    wanted = {one.id for one in state.pending}
    if fingerprint([one for one in ordered if one.id in wanted], state.callbacks) == planned:
        return
    for row in reversed(state.applied):
        if row.id not in known:
            break  # not of this changelog, so it was not planned with it, and nothing below it was left by this plan
        wanted.add(row.id)
        if fingerprint([one for one in ordered if one.id in wanted], state.callbacks) == planned:
            return
    pending, applied = [one.id for one in state.pending], {row.id for row in state.applied}
    new = [one for one in pending if one not in named] if named else pending
    gone = [one for one in named if one not in pending and one not in applied]
    told = [
        f"{word} {', '.join(ids)}"
        for word, ids in (("pending:" if not named else "new:", new), ("gone:", gone))
        if ids
    ]
    raise ServiceFailed(
        "the database is not what the plan was made of: "
        + shortened("; ".join(told) or "changesets were edited, or applied by something else", 800)
    )


def named(wanted: str, ordered: Sequence[Changeset]) -> list[Changeset]:
    """Give the changesets that a name may mean: the one of that id, or those whose ids end with it."""
    return [one for one in ordered if one.id == wanted] or [
        one for one in ordered if wanted and one.id.endswith(wanted)
    ]


def works_from(line: str, state: State) -> str:
    """Give the id of the oldest changeset that this image's code needs, from the line of the file `works-from`.

    :param line: an id, or the end of one that no other has
    :raises ServiceFailed: it names none, several, or a changeset that takes something away
    """
    wanted = line.strip()
    found = named(wanted, state.ordered())
    if len(found) != 1:
        what = "no changeset" if not found else f"{len(found)} changesets"
        raise ServiceFailed(
            f"works-from: {shortened(wanted, 200) or 'the empty line'} is the end of {what} of the changelog; name one of it"
        )
    if found[0].phase != EXPAND:
        raise ServiceFailed(
            f"works-from: {found[0].id} is a contract changeset; name the expand changeset that the code needs"
        )
    return found[0].id
