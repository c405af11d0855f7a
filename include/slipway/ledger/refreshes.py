"""The nightly refresh in the ledger: what is deployed, which releases it asked for, what it did, and what may be forgotten."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CheckConstraint, Index, Text, cast, delete, func, literal, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from slipway.errors import Permanent
from slipway.ledger.database import NOW
from slipway.ledger.records import Release
from slipway.ledger.reports import ReportRow
from slipway.ledger.tables import DeploymentRow, EvidenceRow, ReleaseRow, Table
from slipway.ledger.whole import Ledger
from slipway.release import Status
from slipway.version import this


class RefreshRow(Table):
    """One run of the refresh; `releases` names, by service, the release that it asked for."""

    __tablename__ = "refreshes"

    run_id: Mapped[str] = mapped_column(primary_key=True)
    environment: Mapped[str]
    status: Mapped[str | None]
    slipway: Mapped[str | None]
    releases: Mapped[Any] = mapped_column(JSONB, server_default=text("'{}'"))
    report: Mapped[Any | None] = mapped_column(JSONB(none_as_null=True))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]

    __table_args__ = (
        CheckConstraint("status IN ('passed', 'failed', 'errored')", "status"),
        CheckConstraint("(status IS NULL) = (finished_at IS NULL)", "finished"),
        CheckConstraint("finished_at >= started_at", "order"),
        Index("refreshes_started_idx", text("started_at DESC")),
    )


@dataclass(frozen=True)
class Refreshed:
    """What the ledger knows of a run of the refresh; `report` is what `slipway refresh show --json` prints."""

    run_id: str
    environment: str
    status: str | None
    report: Mapping[str, Any] | None
    started_at: datetime
    finished_at: datetime | None


def active(ledger: Ledger, service: str, environment: str) -> Release | None:
    """Give the release whose manifests were applied last, however it ended."""
    return ledger.active(service, environment)


def begin(ledger: Ledger, run_id: str, environment: str) -> datetime:
    """Record that a refresh begins, and give when: a task that is tried again keeps the first time."""
    with ledger.transaction() as session:
        session.execute(
            insert(RefreshRow)
            .values(run_id=run_id, environment=environment, slipway=this())
            .on_conflict_do_nothing()
        )
        return session.get_one(RefreshRow, run_id).started_at


def asked_for(ledger: Ledger, run_id: str, service: str, release: str | None = None) -> str | None:
    """Give the release of ``service`` that this refresh asks for; the first one that is named stands.

    :param release: run id to ask for, if none is named yet.
    """
    with ledger.transaction() as session:
        row = _locked(session, run_id)
        if release and service not in row.releases:
            row.releases = {**row.releases, service: release}
        known: str | None = row.releases.get(service)
        return known


def finish(ledger: Ledger, run_id: str, status: str, report: Mapping[str, Any]) -> Refreshed:
    """Record how a refresh ended, and what it did. Once more is harmless: the last report counts."""
    with ledger.transaction() as session:
        row = _locked(session, run_id)
        row.status, row.report, row.finished_at = status, dict(report), session.scalar(select(NOW))
        session.flush()
        return _refreshed(row)


def newest(ledger: Ledger, run_id: str | None = None) -> Refreshed | None:
    """Give a run of the refresh, or the newest."""
    with ledger.transaction() as session:
        found = select(RefreshRow).order_by(RefreshRow.started_at.desc()).limit(1)
        row = session.scalar(found.where(RefreshRow.run_id == run_id) if run_id else found)
        return _refreshed(row) if row else None


def published(ledger: Ledger, service: str) -> list[tuple[str, str, Status]]:
    """Give commit, digest and status of every release of a service whose image was pushed, newest first."""
    with ledger.transaction() as session:
        rows = session.execute(
            select(ReleaseRow.commit, ReleaseRow.digest, ReleaseRow.status)
            .where(ReleaseRow.service == service, ReleaseRow.digest.is_not(None))
            .order_by(ReleaseRow.started_at.desc(), ReleaseRow.run_id)
        )
        return [(commit, str(digest), Status(status)) for commit, digest, status in rows]


def running(ledger: Ledger, service: str | None = None) -> list[Release]:
    """Give the releases that have not ended, as far as the ledger knows."""
    with ledger.transaction() as session:
        found = select(ReleaseRow.run_id).where(ReleaseRow.status == Status.RUNNING.value)
        ids = session.scalars(found.where(ReleaseRow.service == service) if service else found).all()
    return [release for run_id in ids if (release := ledger.record(run_id))]


def known(ledger: Ledger, services: Collection[str]) -> dict[str, str]:
    """Give every release of these services, by run id: the service."""
    with ledger.transaction() as session:
        rows = session.execute(
            select(ReleaseRow.run_id, ReleaseRow.service).where(ReleaseRow.service.in_(services))
        )
        return {row.run_id: row.service for row in rows}


def forget(ledger: Ledger, days: int) -> dict[str, tuple[int, int]]:
    """Remove evidence, reports and refreshes that are older than ``days``; give of each how many, and their bytes.

    Kept whatever their age: what belongs to the tree or the run of a release that runs, is deployed, or was the last
    good one. The records of releases and their stages stay.
    """
    with ledger.transaction() as session:
        limit = session.scalar(select(NOW)) - timedelta(days=days)  # type: ignore[operator]
        last_good = (
            select(func.max(DeploymentRow.id))
            .where(DeploymentRow.good)
            .group_by(DeploymentRow.service, DeploymentRow.environment)
        )
        deployed = select(DeploymentRow.run_id).where(
            DeploymentRow.ended_at.is_(None) | DeploymentRow.id.in_(last_good)
        )
        kept = (ReleaseRow.status == Status.RUNNING.value) | ReleaseRow.run_id.in_(deployed)
        runs, trees = (
            select(column).where(kept, column.is_not(None)) for column in (ReleaseRow.run_id, ReleaseRow.tree)
        )
        old_runs = select(ReleaseRow.run_id).where(ReleaseRow.finished_at < limit)
        removed = {
            "evidence": delete(EvidenceRow)
            .where(EvidenceRow.recorded_at < limit, EvidenceRow.tree.not_in(trees))
            .returning(literal(0)),  # they weigh nothing
            "reports": delete(ReportRow)
            .where(ReportRow.run_id.in_(old_runs), ReportRow.run_id.not_in(runs))
            .returning(func.octet_length(ReportRow.content)),
            "refreshes": delete(RefreshRow)
            .where(RefreshRow.finished_at < limit)
            .returning(func.coalesce(func.octet_length(cast(RefreshRow.report, Text)), 0)),
        }
        sizes = {what: list(session.scalars(statement)) for what, statement in removed.items()}
    return {what: (len(found), sum(found)) for what, found in sizes.items()}


def _locked(session: Session, run_id: str) -> RefreshRow:
    if row := session.scalar(select(RefreshRow).where(RefreshRow.run_id == run_id).with_for_update()):
        return row
    raise Permanent(
        f"The ledger has no refresh {run_id}.",
        code="ledger.refresh-missing",
        remedy="Clear the whole run: its first task records it.",
    )


def _refreshed(row: RefreshRow) -> Refreshed:
    return Refreshed(row.run_id, row.environment, row.status, row.report, row.started_at, row.finished_at)
