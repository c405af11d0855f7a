"""Rollbacks by hand in the ledger: who asked, from which release to which, why, and how far it came."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from slipway.errors import Permanent
from slipway.ledger.database import NOW, Database
from slipway.ledger.tables import RollbackRow
from slipway.version import this

WAITING, RUNNING, PASSED, FAILED, ERRORED = "waiting", "running", "passed", "failed", "errored"


@dataclass(frozen=True)
class Rollback:
    """What the ledger knows of a rollback by hand.

    :param from_run_id: the release that is left, and ``to_run_id`` the one that is returned to; None until they are chosen.
    :param state: ``waiting`` for the lane, ``running``, or how it ended: ``passed``, ``failed``, ``errored``.
    """

    run_id: str
    service: str
    environment: str
    asked_by: str | None
    reason: str | None
    from_run_id: str | None
    to_run_id: str | None
    state: str
    started_at: datetime
    finished_at: datetime | None

    def words(self) -> str:
        """Give it in a line: how it ended, when, whose it was, and why."""
        by = f" by {self.asked_by}" if self.asked_by else ""
        when, why = f"{self.started_at:%Y-%m-%d %H:%M:%S} UTC", self.reason or "no reason was given"
        return f"{self.state}{by}, {when} ({self.run_id}): {why}"

    def show(self) -> dict[str, Any]:
        """Give it as `slipway releases show --json` does."""
        return {
            "run_id": self.run_id,
            "asked_by": self.asked_by,
            "reason": self.reason,
            "from": self.from_run_id,
            "to": self.to_run_id,
            "state": self.state,
            "started_at": self.started_at.isoformat(),
            "finished_at": self.finished_at.isoformat() if self.finished_at else None,
        }


def begin(
    ledger: Database, run_id: str, service: str, environment: str, asked_by: str | None, reason: str | None
) -> Rollback:
    """Record that a rollback begins, or goes on: one that is tried again keeps what was chosen."""
    values = {"service": service, "environment": environment, "asked_by": asked_by, "reason": reason}
    with ledger.transaction() as session:
        session.execute(
            insert(RollbackRow)
            .values(run_id=run_id, state=WAITING, slipway=this(), **values)
            .on_conflict_do_nothing()
        )
        row = _locked(session, run_id)
        row.state, row.finished_at = RUNNING if row.to_run_id else WAITING, None
        return _rollback(row)


def chosen(ledger: Database, run_id: str, leaving: str, to: str) -> Rollback:
    """Record which release is left for which, before anything changes: whoever comes after a kill -9 goes on with these."""
    with ledger.transaction() as session:
        row = _locked(session, run_id)
        row.from_run_id, row.to_run_id, row.state = leaving, to, RUNNING
        return _rollback(row)


def finish(ledger: Database, run_id: str, state: str) -> None:
    """Record how a rollback ended."""
    with ledger.transaction() as session:
        row = _locked(session, run_id)
        row.state, row.finished_at = state, session.scalar(select(NOW))


def find(ledger: Database, run_id: str) -> Rollback | None:
    """Give the rollback of a run; None if the run is none."""
    with ledger.transaction() as session:
        row = session.get(RollbackRow, run_id)
        return _rollback(row) if row else None


def newest_from(ledger: Database, release: str) -> Rollback | None:
    """Give the newest rollback by hand that left a release."""
    with ledger.transaction() as session:
        row = session.scalar(
            select(RollbackRow)
            .where(RollbackRow.from_run_id == release)
            .order_by(RollbackRow.started_at.desc())
            .limit(1)
        )
        return _rollback(row) if row else None


def _locked(session: Session, run_id: str) -> RollbackRow:
    if row := session.scalar(select(RollbackRow).where(RollbackRow.run_id == run_id).with_for_update()):
        return row
    raise Permanent(
        f"The ledger has no rollback {run_id}.",
        code="ledger.rollback-missing",
        remedy="Clear the whole run: its first task records it.",
    )


def _rollback(row: RollbackRow) -> Rollback:
    return Rollback(**{one.name: getattr(row, one.name) for one in fields(Rollback)})
