"""Findings in the ledger: what followed from those of each gate of a run, and which a service came in with."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from slipway.ledger.database import NOW, Database
from slipway.ledger.tables import ReleaseRow, Table
from slipway.release.findings import Judged, Verdict


class FindingsRow(Table):
    """What followed from the findings of a stage of a release, the last time that it was judged."""

    __tablename__ = "findings"

    run_id: Mapped[str] = mapped_column(ForeignKey("releases.run_id", ondelete="CASCADE"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    policy: Mapped[str]
    judged: Mapped[Any] = mapped_column(JSONB)
    unused: Mapped[Any] = mapped_column(JSONB)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("policy IN ('enforce', 'warn', 'off')", "policy"),)


class BaselineRow(Table):
    """What is left of the findings that a service came in with: those of a commit that the catalog names."""

    __tablename__ = "baselines"

    service: Mapped[str] = mapped_column(primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    commit: Mapped[str]
    fingerprints: Mapped[Any] = mapped_column(JSONB)
    taken_at: Mapped[datetime] = mapped_column(server_default=func.now())
    changed_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (CheckConstraint("commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", "commit"),)


@dataclass(frozen=True)
class Baseline:
    """What is left of a baseline."""

    commit: str
    fingerprints: frozenset[str]
    taken_at: datetime
    changed_at: datetime


def keep(ledger: Database, run_id: str, stage: str, verdict: Verdict) -> None:
    """Keep what followed from the findings of a stage, in place of what did when it was judged before."""
    values = {
        "policy": verdict.policy,
        "judged": [one.show() for one in verdict.judged],
        "unused": list(verdict.unused),
        "recorded_at": NOW,
    }
    with ledger.transaction() as session:
        session.execute(
            insert(FindingsRow)
            .values(run_id=run_id, stage=stage, **values)
            .on_conflict_do_update(index_elements=["run_id", "stage"], set_=values)
        )


def of(ledger: Database, run_id: str) -> Mapping[str, Verdict]:
    """Give what followed from the findings of each gate of a run, by its task's id."""
    with ledger.transaction() as session:
        rows = session.scalars(
            select(FindingsRow).where(FindingsRow.run_id == run_id).order_by(FindingsRow.stage)
        )
        return {row.stage: _frozen(row) for row in rows}


def _frozen(row: FindingsRow) -> Verdict:
    return Verdict(row.policy, tuple(map(Judged.load, row.judged)), tuple(row.unused))


def baseline(
    ledger: Database, service: str, stage: str, commit: str, *, own: Collection[str] | None = None
) -> frozenset[str] | None:
    """Give what is left of a baseline. It is taken when it is first asked for: from what the ledger has of that commit.

    :param commit: whose findings it is made of.
    :param own: fingerprints of what was found now, if now that commit is judged.
    :return: None if the ledger knows no findings of that commit.
    """
    with ledger.transaction() as session:
        row = session.get(BaselineRow, (service, stage), with_for_update=True)
        if row and row.commit == commit:
            return frozenset(row.fingerprints)
        found = own if own is not None else _of_commit(session, service, stage, commit)
        if found is None:
            return None
        values = {
            "commit": commit,
            "fingerprints": sorted(found),
            "taken_at": NOW,
            "changed_at": NOW,
        }
        session.execute(
            insert(BaselineRow)
            .values(service=service, stage=stage, **values)
            .on_conflict_do_update(index_elements=["service", "stage"], set_=values)
        )
        return frozenset(found)


def _of_commit(session: Session, service: str, stage: str, commit: str) -> set[str] | None:
    row = session.scalar(
        select(FindingsRow)
        .join(ReleaseRow, ReleaseRow.run_id == FindingsRow.run_id)
        .where(ReleaseRow.service == service, ReleaseRow.commit == commit)
        .where(FindingsRow.stage == stage, FindingsRow.policy != "off")
        .order_by(FindingsRow.recorded_at.desc())
        .limit(1)
    )
    return {one["fingerprint"] for one in row.judged} if row else None


def shrink(ledger: Database, service: str, stage: str, commit: str, found: Iterable[str]) -> int:
    """Take out of a baseline what is found no more, and give how many were; they are new if they come back."""
    still = frozenset(found)
    with ledger.transaction() as session:
        row = session.get(BaselineRow, (service, stage), with_for_update=True)
        if row is None or row.commit != commit:
            return 0
        left = [one for one in row.fingerprints if one in still]
        gone = len(row.fingerprints) - len(left)
        if gone:
            row.fingerprints, row.changed_at = left, session.scalars(select(NOW)).one()
        return gone


def baselines(ledger: Database, service: str) -> Mapping[str, Baseline]:
    """Give what is left of a service's baselines, by the gate's task."""
    with ledger.transaction() as session:
        rows = session.scalars(
            select(BaselineRow).where(BaselineRow.service == service).order_by(BaselineRow.stage)
        )
        return {
            row.stage: Baseline(row.commit, frozenset(row.fingerprints), row.taken_at, row.changed_at)
            for row in rows
        }
