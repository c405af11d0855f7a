"""The queue in the ledger: since when a commit is asked for, whether its release may go, and which others there are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, func, select

from slipway.errors import Permanent
from slipway.ledger.database import NOW, Database
from slipway.ledger.releases import locked
from slipway.ledger.tables import DeploymentRow, HoldRow, ReleaseRow, StageRow, WishRow
from slipway.release import Contender, Outcome, Status

ACCEPT = "accept"
"""The stage with which a release begins."""


class Queue(Database):
    """What `slipway.release.queue` decides by."""

    def first_request(self, service: str, commit: str) -> datetime:
        """Gives when a commit was first asked for; now, if it never was."""
        with self.transaction() as session:
            first = select(func.min(ReleaseRow.requested_at)).where(
                ReleaseRow.service == service, ReleaseRow.commit == commit
            )
            return session.scalar(select(func.coalesce(first.scalar_subquery(), NOW)))  # type: ignore[return-value]

    def ready(self, run_id: str) -> None:
        """Records that a release has passed every gate and its image is in the registry: it may be deployed."""
        with self.transaction() as session:
            locked(session, run_id).ready_at = session.scalar(select(NOW))

    def queued(self, run_id: str) -> tuple[Contender, list[Contender]]:
        """Gives a release as the queue of its service and environment has it, and the others that matter to it.

        Those are all that have not ended, and whatever was asked for since the last before it that had an answer. One whose run
        has not begun is there by its wish.
        """
        with self.transaction() as session:
            own = session.get(WishRow, run_id)
            if own is None:
                raise Permanent(
                    f"The ledger has no release {run_id}.",
                    code="ledger.release-missing",
                    remedy="A release begins with its first task: clear the whole run.",
                )
            here = (WishRow.service == own.service, WishRow.environment == own.environment)
            answered = (
                select(func.max(WishRow.requested_at))
                .join(ReleaseRow, ReleaseRow.run_id == WishRow.run_id)
                .where(
                    *here,
                    ReleaseRow.status.not_in([one.value for one in _UNANSWERED]),
                    WishRow.requested_at < own.requested_at,
                    WishRow.run_id != run_id,
                )
                .scalar_subquery()
            )
            found = session.execute(
                select(WishRow, ReleaseRow.status, ReleaseRow.ready_at, *_flags())
                .outerjoin(ReleaseRow, ReleaseRow.run_id == WishRow.run_id)
                .where(
                    *here,
                    (WishRow.requested_at >= func.coalesce(answered, "-infinity"))
                    | ReleaseRow.run_id.is_(None)
                    | (ReleaseRow.status == Status.RUNNING.value),
                )
            ).all()
        known = {wish.run_id: _contender(wish, *rest) for wish, *rest in found}
        return known.pop(run_id), list(known.values())

    def newer(self, run_id: str) -> list[Contender]:
        """Gives the releases of the same service and environment that have begun and were asked for later than this one."""
        own, others = self.queued(run_id)
        return [one for one in others if one.begun and one.order > own.order]


_UNANSWERED = (Status.RUNNING, Status.SUPERSEDED, Status.CANCELLED)
"""What a release is that nobody has had an answer from: no verdict of its own, and no fault of the platform either."""

_BAD = (Outcome.FAILED, Outcome.ERRORED, Outcome.REJECTED, Outcome.CANCELLED)


def _flags() -> Sequence[ColumnElement[bool]]:
    """Gives as columns whether a wish's commit is held, was deployed, and how its stages ended."""
    config, digest = ReleaseRow.config_revision, ReleaseRow.digest
    held = (
        select(HoldRow.commit)
        .where(
            HoldRow.service == WishRow.service,
            HoldRow.environment == WishRow.environment,
            HoldRow.commit == WishRow.commit,
            HoldRow.config_revision.in_(["", func.coalesce(config, "")]),
            HoldRow.digest.in_(["", func.coalesce(digest, "")]),
        )
        .exists()
    )
    # what was rolled back gives way to what it had superseded
    deployed = select(DeploymentRow.run_id).where(DeploymentRow.run_id == WishRow.run_id).exists() & ~held

    def stage(*more: ColumnElement[bool]) -> ColumnElement[bool]:
        return select(StageRow.run_id).where(StageRow.run_id == WishRow.run_id, *more).exists()

    return (
        held,
        deployed,
        stage(StageRow.outcome.in_([one.value for one in _BAD])),
        stage(StageRow.outcome == Outcome.SUPERSEDED.value),
        stage(StageRow.name == ACCEPT, StageRow.outcome == Outcome.PASSED.value),
    )


def _contender(
    wish: WishRow,
    status: str | None,
    ready_at: datetime | None,
    held: bool,
    deployed: bool,
    failing: bool,
    superseded: bool,
    accepted: bool,
) -> Contender:
    running = status == Status.RUNNING.value
    return Contender(
        wish.run_id,
        wish.commit,
        wish.requested_at,
        begun=status is not None,
        running=running,
        accepted=running and accepted,
        ending=running and superseded,
        ready=ready_at is not None,
        failing=failing,
        held=held,
        deployed=deployed,
        answered=status is not None and Status(status) not in _UNANSWERED,
        is_refresh=wish.asked_by == "refresh",
    )
