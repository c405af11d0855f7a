"""Reports that gates wrote (JUnit, SARIF, CycloneDX), as bytes: shown and downloaded, never trusted."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, delete, literal, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, mapped_column

from slipway.ledger.database import Database
from slipway.ledger.tables import Table


class ReportRow(Table):
    """One file that a stage of a release wrote, the last time it ran."""

    __tablename__ = "reports"

    run_id: Mapped[str] = mapped_column(ForeignKey("releases.run_id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[bytes] = mapped_column(LargeBinary)

    __table_args__ = (CheckConstraint("octet_length(content) <= 2000000", "content"),)


def keep(ledger: Database, run_id: str, stage: str, files: Mapping[str, bytes]) -> None:
    """Keep the files of a stage in place of those of its earlier runs."""
    with ledger.transaction() as session:
        session.execute(delete(ReportRow).where(ReportRow.run_id == run_id, ReportRow.stage == stage))
        session.add_all(
            ReportRow(run_id=run_id, stage=stage, name=name, content=content)
            for name, content in files.items()
        )


def copy(ledger: Database, source: str, run_id: str, stage: str) -> None:
    """Keep the files of a stage of the run ``source`` as those of this run, too."""
    if source == run_id:
        return
    with ledger.transaction() as session:
        session.execute(delete(ReportRow).where(ReportRow.run_id == run_id, ReportRow.stage == stage))
        there = select(literal(run_id), ReportRow.stage, ReportRow.name, ReportRow.content).where(
            ReportRow.run_id == source, ReportRow.stage == stage
        )
        session.execute(insert(ReportRow).from_select(["run_id", "stage", "name", "content"], there))


def stages(ledger: Database, run_id: str) -> set[str]:
    """Give the names of the stages that left reports."""
    with ledger.transaction() as session:
        return set(session.scalars(select(ReportRow.stage).where(ReportRow.run_id == run_id).distinct()))


def read(ledger: Database, run_id: str, stage: str) -> dict[str, bytes]:
    """Give the files of a stage by name."""
    with ledger.transaction() as session:
        rows = session.scalars(
            select(ReportRow)
            .where(ReportRow.run_id == run_id, ReportRow.stage == stage)
            .order_by(ReportRow.name)
        )
        return {row.name: row.content for row in rows}
