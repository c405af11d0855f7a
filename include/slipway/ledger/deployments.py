"""Deployments in the ledger: which release runs in an environment, which ran there before it, and which of them were good."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert

from slipway.ledger.database import NOW, Database
from slipway.ledger.records import Release
from slipway.ledger.releases import frozen, locked, stages_of
from slipway.ledger.tables import DeploymentRow, HoldRow, ReleaseRow
from slipway.release import Status


class Deployments(Database):
    """What runs in each environment, and what ran."""

    def deployed(self, run_id: str) -> None:
        """Records that this release is what now runs in its environment. Repeats are harmless."""
        with self.transaction() as session:
            row = locked(session, run_id)
            # A lock of the lane's name, as there may be no active row yet for two at once to wait for.
            lane = func.hashtextextended(f"{row.service} {row.environment}", 0)
            session.execute(select(func.pg_advisory_xact_lock(lane)))
            here = (DeploymentRow.service == row.service, DeploymentRow.environment == row.environment)
            active = session.scalar(select(DeploymentRow).where(*here, DeploymentRow.ended_at.is_(None)))
            good = row.status == Status.PASSED
            if active and active.run_id == run_id:
                active.good = active.good or good
                return
            now = session.scalar(select(NOW))
            if active:
                active.ended_at = now
                session.flush()
            session.add(
                DeploymentRow(
                    run_id=run_id,
                    service=row.service,
                    environment=row.environment,
                    good=good,
                    deployed_at=now,
                )
            )

    def active(self, service: str, environment: str) -> Release | None:
        """Gives the release that is deployed now, good or not."""
        with self.transaction() as session:
            row = session.scalar(
                select(ReleaseRow)
                .join(DeploymentRow, DeploymentRow.run_id == ReleaseRow.run_id)
                .where(
                    DeploymentRow.service == service,
                    DeploymentRow.environment == environment,
                    DeploymentRow.ended_at.is_(None),
                )
            )
            return frozen(row, stages_of(session, row.run_id)) if row else None

    def overtaken_by(self, run_id: str) -> str | None:
        """Gives the newest release that was asked for later than this one, was deployed here, and was not left again."""
        with self.transaction() as session:
            own = session.get(ReleaseRow, run_id)
            if own is None:
                return None
            return session.scalar(
                select(ReleaseRow.run_id)
                .join(DeploymentRow, DeploymentRow.run_id == ReleaseRow.run_id)
                .where(
                    ReleaseRow.service == own.service,
                    ReleaseRow.environment == own.environment,
                    ReleaseRow.requested_at > own.requested_at,
                    ReleaseRow.rolled_back_to.is_(None),
                )
                .order_by(ReleaseRow.requested_at.desc(), ReleaseRow.run_id.desc())
                .limit(1)
            )

    def last_good(self, service: str, environment: str) -> Release | None:
        """Gives the release last deployed here that passed: what a rollback returns to.

        A release stays good when its run is cleared and begins again.
        """
        with self.transaction() as session:
            row = session.scalar(
                select(ReleaseRow)
                .join(DeploymentRow, DeploymentRow.run_id == ReleaseRow.run_id)
                .where(
                    DeploymentRow.service == service,
                    DeploymentRow.environment == environment,
                    DeploymentRow.good,
                )
                .order_by(DeploymentRow.id.desc())
                .limit(1)
            )
            return frozen(row, stages_of(session, row.run_id)) if row else None

    def good_ones(self, service: str, environment: str, limit: int = 20) -> list[Release]:
        """Gives the releases that were deployed here and passed, the last deployed first, each once, without stages."""
        return self._deployed(limit, service, environment, DeploymentRow.good)

    def deployed_ones(self, service: str, environment: str, limit: int = 20) -> list[Release]:
        """Gives the releases that were deployed here, good or not, as :meth:`good_ones` does."""
        return self._deployed(limit, service, environment)

    def _deployed(self, limit: int, service: str, environment: str, *more: Any) -> list[Release]:
        with self.transaction() as session:
            newest = (
                select(DeploymentRow.run_id, func.max(DeploymentRow.id).label("id"))
                .where(
                    DeploymentRow.service == service,
                    DeploymentRow.environment == environment,
                    *more,
                )
                .group_by(DeploymentRow.run_id)
                .subquery()
            )
            rows = session.scalars(
                select(ReleaseRow)
                .join(newest, newest.c.run_id == ReleaseRow.run_id)
                .order_by(newest.c.id.desc())
                .limit(limit)
            ).all()
            return [frozen(row) for row in rows]

    def rolled_back(self, run_id: str, to: str, reason: str) -> None:
        """Records that a release is not what runs any more, ``to`` is again, and holds what was left. Repeats are harmless.

        Held is the commit; where ``to`` is of the same one, only with the configuration, or else the image, that was bad.
        """
        with self.transaction() as session:
            row, back = locked(session, run_id), locked(session, to)
            row.rolled_back_to = to
            config = row.config_revision if back.commit == row.commit else None
            digest = row.digest if config is not None and back.config_revision == config else None
            values = {"service": row.service, "environment": row.environment, "commit": row.commit}
            session.execute(
                insert(HoldRow)
                .values(
                    **values, config_revision=config or "", digest=digest or "", run_id=run_id, reason=reason
                )
                .on_conflict_do_update(
                    index_elements=["service", "environment", "commit", "config_revision", "digest"],
                    set_={"run_id": run_id, "reason": reason},
                )
            )
        self.deployed(to)
