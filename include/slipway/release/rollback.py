"""Which release a rollback returns to: the last good one whose image works with the schema that the database has now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from slipway.release.schema import CONTRACT, Changeset


@dataclass(frozen=True)
class Candidate:
    """A release that was deployed and good.

    :param revision: the last changeset that the database had when it was verified; None if there was none.
    :param works_from: the oldest changeset that its image needs; None means all up to `revision`.
    :param config: revision of the configuration that was applied.
    :param digest: digest of the image.
    :param restorable: whether its record has what is to be applied.
    """

    run_id: str
    commit: str
    revision: str | None = None
    works_from: str | None = None
    config: str | None = None
    digest: str | None = None
    restorable: bool = True


@dataclass(frozen=True)
class Choice:
    """The outcome: a release to return to, or why there is none.

    :param refused: why each release that was looked at first does not do.
    :param nearest: with a ``to`` that does not do, the newest release that would.
    """

    to: Candidate | None
    refused: tuple[str, ...] = ()
    nearest: Candidate | None = None


def unfit(candidate: Candidate, applied: Sequence[Changeset]) -> str | None:
    """Give why an image does not work with the schema; None if it does.

    It works with the changesets of its recorded range and with all that were added since, as long as none takes away:
    what adds is linted to leave running versions alone.

    :param applied: the database's changesets, in the order in which they were applied. What may be there counts as there
        if it takes away, and as missing if it is needed.
    """
    order = {one.id: at for at, one in enumerate(applied) if one.is_certain}
    needed = candidate.works_from or candidate.revision
    if needed is not None and needed not in order:
        return f"it needs changeset {needed}, which the database does not have"
    last = max((order[one] for one in (candidate.revision, candidate.works_from) if one in order), default=-1)
    for one in applied[last + 1 :]:
        if one.phase == CONTRACT and not one.is_certain:
            return (
                f"changeset {one.id} (contract) may be applied and may have taken away what it needs: "
                f"{one.run_id} began it and has not told how that ended; clear that run's migration, which asks the database"
            )
        if one.phase == CONTRACT:
            by = f" by {one.run_id}" if one.run_id else ""
            return f"changeset {one.id} (contract), applied since{by}, took away what it may need"
    return None


def choose(
    candidates: Iterable[Candidate],
    applied: Sequence[Changeset],
    *,
    leaving: Candidate,
    held: Collection[str] = (),
    to: str | None = None,
) -> Choice:
    """Choose among ``candidates``, the last deployed first.

    :param leaving: what is left. What is the same in commit, configuration and image is no way out.
    :param held: run ids of those that are held.
    :param to: a commit that a person asks for; then no other is taken.
    """
    refused: list[str] = []
    nearest: Candidate | None = None
    for one in candidates:
        if (one.commit, one.config, one.digest) == (leaving.commit, leaving.config, leaving.digest):
            continue
        asked = to is None or one.commit == to
        why: str | None
        if one.run_id in held and to is None:
            why = "it is held"
        elif not one.restorable:
            why = "its record has no manifests"
        else:
            why = unfit(one, applied)
        if why is None and asked:
            return Choice(one, tuple(refused))
        if why is None:
            nearest = nearest or one
        elif asked:
            refused.append(f"{one.run_id} (commit {one.commit[:12]}): {why}")
    return Choice(None, tuple(refused), nearest)
