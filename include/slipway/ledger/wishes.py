"""Wishes in the ledger: which runs of releases were asked for. Here, in one transaction, it is decided whether one is new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from slipway.ledger.database import NOW, Database
from slipway.ledger.tables import ReleaseRow, WishRow
from slipway.release import Answer, Status, Wish, decide


@dataclass(frozen=True)
class Asked:
    """The run that is meant, and how far it is: None if it has not begun."""

    run_id: str
    is_new: bool
    is_repeat: bool
    requested_at: datetime
    status: Status | None


def ask(
    ledger: Database,
    service: str,
    environment: str,
    commit: str,
    *,
    ref: str,
    is_head: bool,
    asked_by: str,
    again: bool = False,
    requested_at: datetime | None = None,
) -> Asked:
    """Give the run that is meant, and record the wish for it if it is new, before any run is started.

    Two who ask at once are answered one after the other: the second finds what the first has asked for.

    :param is_head: whether the commit is the head of the release branch now.
    :param asked_by: ``push``, ``command``, ``reconcile`` or ``refresh``.
    :param again: whether a run of its own is asked for in any case.
    :param requested_at: its place in the order of wishes; None is after all others.
    """
    with ledger.transaction() as session:
        lock = func.hashtextextended(f"wishes {service} {environment}", 0)
        session.execute(select(func.pg_advisory_xact_lock(lock)))
        known = _wishes(session, service, environment)
        answer = decide(service, commit, known, is_head=is_head, again=again)
        if answer.is_new:
            session.add(
                WishRow(
                    run_id=answer.run_id,
                    service=service,
                    environment=environment,
                    commit=commit,
                    ref=ref,
                    is_head=is_head,
                    asked_by=asked_by,
                    requested_at=requested_at or NOW,
                )
            )
        elif is_head:
            # perhaps the branch has come to what a person had asked for already
            session.execute(update(WishRow).where(WishRow.run_id == answer.run_id).values(is_head=True))
        session.flush()
        row = session.get_one(WishRow, answer.run_id, populate_existing=True)
        release = session.get(ReleaseRow, answer.run_id)
        return Asked(
            answer.run_id,
            answer.is_new,
            answer.is_repeat,
            row.requested_at,
            Status(release.status) if release else None,
        )


def look(
    ledger: Database, service: str, environment: str, commit: str
) -> tuple[Answer, Status | None] | None:
    """Give what is answered to who asks for the head ``commit``, and how far that run is; None if nothing was ever asked for."""
    with ledger.transaction() as session:
        known = _wishes(session, service, environment)
        if not known:
            return None
        answer = decide(service, commit, known, is_head=True)
        release = session.get(ReleaseRow, answer.run_id)
        return answer, Status(release.status) if release else None


@dataclass(frozen=True)
class Known:
    """A wish that is on record."""

    commit: str
    ref: str
    requested_at: datetime


def find(ledger: Database, run_id: str) -> Known | None:
    """Give the wish that a run is for."""
    with ledger.transaction() as session:
        row = session.get(WishRow, run_id)
        return Known(row.commit, row.ref, row.requested_at) if row else None


def newer(ledger: Database, run_id: str) -> str | None:
    """Give the newest run that was asked for after another of the same service and environment."""
    with ledger.transaction() as session:
        own = session.get(WishRow, run_id)
        if own is None:
            return None
        return session.scalar(
            select(WishRow.run_id)
            .where(
                WishRow.service == own.service,
                WishRow.environment == own.environment,
                WishRow.requested_at > own.requested_at,
            )
            .order_by(WishRow.requested_at.desc())
            .limit(1)
        )


def _wishes(session: Session, service: str, environment: str) -> list[Wish]:
    rows = session.scalars(
        select(WishRow).where(WishRow.service == service, WishRow.environment == environment)
    )
    return [
        Wish(
            row.run_id,
            row.commit,
            row.requested_at,
            row.is_head,
            row.asked_by == "refresh" and not row.is_head,
        )
        for row in rows
    ]
