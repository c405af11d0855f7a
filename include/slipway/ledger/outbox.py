"""The outbox: what is to be said of releases, once each, in order, whatever is killed, cleared or tried again on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Select,
    UniqueConstraint,
    and_,
    func,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from slipway.ledger.database import NOW, Database
from slipway.ledger.records import Release
from slipway.ledger.tables import ReleaseRow, Table

ATTEMPTS_MOST = 100
CLAIM = timedelta(seconds=60)
"""For which one who sends keeps others from the same commit: longer than a forge is waited for."""
PAUSE_MOST_S = 600
"""Seconds between two tries at most; they double from one to the next."""


class OutboxRow(Table):
    """One thing that is to be said to one receiver of one run. `turn`: a run that is cleared may end otherwise than before."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    service: Mapped[str]
    environment: Mapped[str]
    run_id: Mapped[str] = mapped_column(ForeignKey("releases.run_id", ondelete="CASCADE"))
    commit: Mapped[str]
    receiver: Mapped[str]
    outcome: Mapped[str]
    turn: Mapped[int]
    requested_at: Mapped[datetime]
    words: Mapped[Any] = mapped_column(JSONB)
    said_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    tried_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    dropped_at: Mapped[datetime | None]
    why: Mapped[str | None]

    __table_args__ = (
        UniqueConstraint("environment", "receiver", "run_id", "turn"),
        CheckConstraint("commit ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", "commit"),
        CheckConstraint("turn >= 1", "turn"),
        CheckConstraint("sent_at IS NULL OR dropped_at IS NULL", "end"),
        Index(
            "outbox_unsent_idx",
            "service",
            "id",
            postgresql_where=text("sent_at IS NULL AND dropped_at IS NULL"),
        ),
        Index("outbox_commit_idx", "receiver", "commit"),
    )


@dataclass(frozen=True)
class Letter:
    """What is to be sent now.

    :param is_repeat: whether an earlier try has not told how it ended: it may have been sent.
    """

    id: int
    commit: str
    words: Mapping[str, str]
    is_repeat: bool


def say(
    ledger: Database, release: Release, receiver: str, words: Mapping[str, str], *, once: bool = False
) -> None:
    """Put on record what is to be said of a release as it stands, unless that was the last that was said of its run.

    :param once: whether an end that another run of the commit had, with the same digest, is not said again either.
    """
    with ledger.transaction() as session:
        _lock(session, receiver, release.commit)
        if once and session.scalar(_same(release, receiver)):
            return
        last = session.scalar(
            select(OutboxRow)
            .where(
                OutboxRow.environment == release.environment,
                OutboxRow.receiver == receiver,
                OutboxRow.run_id == release.run_id,
            )
            .order_by(OutboxRow.turn.desc())
            .limit(1)
        )
        if last is not None and last.outcome == release.status:
            return
        session.add(
            OutboxRow(
                service=release.service,
                environment=release.environment,
                run_id=release.run_id,
                commit=release.commit,
                receiver=receiver,
                outcome=release.status.value,
                turn=last.turn + 1 if last else 1,
                requested_at=release.requested_at,
                words=dict(words),
            )
        )


def _same(release: Release, receiver: str) -> Select[str]:
    """Select an end of the same commit, in the same environment and with the same digest, that was said to a receiver."""
    return (
        select(OutboxRow.run_id)
        .join(ReleaseRow, ReleaseRow.run_id == OutboxRow.run_id)
        .where(
            OutboxRow.service == release.service,
            OutboxRow.environment == release.environment,
            OutboxRow.receiver == receiver,
            OutboxRow.commit == release.commit,
            OutboxRow.outcome == release.status.value,
            ReleaseRow.digest.is_not_distinct_from(release.digest),
        )
        .limit(1)
    )


def next_of(ledger: Database, service: str, receiver: str) -> Letter | None:
    """Claim what is to be sent next of a service to a receiver; None if nothing is due.

    Of a commit only the newest is sent: what an older run, or the same one before, had to say is dropped. Nobody else sends of
    that commit until it is said how this went, or the claim ends.
    """
    with ledger.transaction() as session:
        now = session.scalar(select(NOW))
        assert now is not None
        rows = session.scalars(
            select(OutboxRow)
            .where(OutboxRow.service == service, OutboxRow.receiver == receiver, _unsent())
            .order_by(OutboxRow.id)
        ).all()
        for commit in dict.fromkeys(row.commit for row in rows):
            if (letter := _claimed(session, service, receiver, commit, now)) is not None:
                return letter
    return None


def _claimed(session: Session, service: str, receiver: str, commit: str, now: datetime) -> Letter | None:
    _lock(session, receiver, commit)
    rows = session.scalars(
        select(OutboxRow)
        .where(OutboxRow.service == service, OutboxRow.receiver == receiver, OutboxRow.commit == commit)
        .order_by(OutboxRow.requested_at, OutboxRow.id)
        .execution_options(populate_existing=True)
    ).all()
    if any(row.claimed_until and row.claimed_until > now for row in rows):
        return None
    *older, newest = rows
    for row in older:
        if row.sent_at is None and row.dropped_at is None:
            row.dropped_at, row.why = now, "something newer is to be said"
    if newest.sent_at or newest.dropped_at:
        return None
    pause = timedelta(seconds=min(2**newest.attempts, PAUSE_MOST_S))
    if newest.tried_at and newest.why and newest.tried_at + pause > now:
        return None
    if newest.attempts >= ATTEMPTS_MOST:
        newest.dropped_at = now
        return None
    letter = Letter(newest.id, commit, newest.words, is_repeat=newest.attempts > 0)
    newest.attempts, newest.tried_at, newest.claimed_until = newest.attempts + 1, now, now + CLAIM
    newest.why = None
    return letter


def sent(ledger: Database, id_: int) -> None:
    """Put on record that it was sent."""
    with ledger.transaction() as session:
        row = session.get_one(OutboxRow, id_)
        row.claimed_until, row.sent_at = None, session.scalar(select(NOW))


def failed(ledger: Database, id_: int, why: str) -> None:
    """Put on record why it was not sent; it is due again after a pause."""
    with ledger.transaction() as session:
        row = session.get_one(OutboxRow, id_)
        row.claimed_until, row.why = None, why[:500]


def unsent(ledger: Database, service: str) -> int:
    """Give how much of a service is still to be sent."""
    with ledger.transaction() as session:
        return session.scalar(select(func.count()).where(OutboxRow.service == service, _unsent())) or 0


def _unsent() -> Any:
    return and_(OutboxRow.sent_at.is_(None), OutboxRow.dropped_at.is_(None))


def _lock(session: Session, receiver: str, commit: str) -> None:
    key = func.hashtextextended(f"outbox {receiver} {commit}", 0)
    session.execute(select(func.pg_advisory_xact_lock(key)))
