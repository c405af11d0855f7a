"""The queue in the ledger: since when a commit is asked for, whether its release may go, and which were asked for later."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select

from slipway.ledger.database import NOW, Database
from slipway.ledger.releases import locked
from slipway.ledger.tables import DeploymentRow, HoldRow, ReleaseRow, StageRow
from slipway.release import Contender, Outcome, Status


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

    def newer(self, run_id: str) -> list[Contender]:
        """Gives the releases of the same service and environment that were asked for later than this one."""
        with self.transaction() as session:
            row = locked(session, run_id)
            held = (
                select(HoldRow.commit)
                .where(
                    HoldRow.service == ReleaseRow.service,
                    HoldRow.environment == ReleaseRow.environment,
                    HoldRow.commit == ReleaseRow.commit,
                    HoldRow.config_revision.in_(["", func.coalesce(ReleaseRow.config_revision, "")]),
                    HoldRow.digest.in_(["", func.coalesce(ReleaseRow.digest, "")]),
                )
                .exists()
            )
            # what was rolled back gives way to what it had superseded
            deployed = (
                select(DeploymentRow.run_id).where(DeploymentRow.run_id == ReleaseRow.run_id).exists() & ~held
            )
            bad = (Outcome.FAILED, Outcome.ERRORED, Outcome.REJECTED, Outcome.CANCELLED)
            failing = (
                select(StageRow.run_id)
                .where(StageRow.run_id == ReleaseRow.run_id, StageRow.outcome.in_([one.value for one in bad]))
                .exists()
            )
            found = session.execute(
                select(ReleaseRow, deployed.label("deployed"), failing.label("failing")).where(
                    ReleaseRow.service == row.service,
                    ReleaseRow.environment == row.environment,
                    ReleaseRow.requested_at > row.requested_at,
                )
            )
            return [
                Contender(
                    other.run_id,
                    other.commit,
                    other.requested_at,
                    running=other.status == Status.RUNNING,
                    ready=other.ready_at is not None,
                    failing=failing_,
                    deployed=deployed_,
                )
                for other, deployed_, failing_ in found
            ]
