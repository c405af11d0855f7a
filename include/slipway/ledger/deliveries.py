"""Deliveries of forges' hooks: on record before the forge is answered, settled once git was asked what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import (
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    UniqueConstraint,
    delete,
    func,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import distinct_on, insert
from sqlalchemy.orm import Mapped, mapped_column

from slipway.ledger.database import NOW, Database
from slipway.ledger.tables import Table

KEPT_DAYS = 30
"""Days that a settled delivery is on record; the same one sent again later only wakes once more."""


class DeliveryRow(Table):
    """A push that a forge told of. It is settled once the run that it means has been asked for."""

    __tablename__ = "deliveries"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    service: Mapped[str]
    forge: Mapped[str]
    delivery: Mapped[str]
    ref: Mapped[str]
    told: Mapped[str]
    run_id: Mapped[str | None] = mapped_column(ForeignKey("wishes.run_id"))
    received_at: Mapped[datetime] = mapped_column(server_default=func.now())
    settled_at: Mapped[datetime | None]

    __table_args__ = (
        UniqueConstraint("service", "forge", "delivery"),
        CheckConstraint("told ~ '^([0-9a-f]{40}|[0-9a-f]{64})$'", "told"),
        CheckConstraint("run_id IS NULL OR settled_at IS NOT NULL", "settled"),
        CheckConstraint("settled_at >= received_at", "order"),
        Index("deliveries_waiting_idx", "service", "id", postgresql_where=text("settled_at IS NULL")),
        Index("deliveries_heard_idx", "service", text("received_at DESC")),
        Index("deliveries_settled_idx", "settled_at"),
    )


@dataclass(frozen=True)
class Waiting:
    """A delivery of which it is not known yet what it asks for."""

    id: int
    told: str


def take(ledger: Database, service: str, forge: str, delivery: str, *, ref: str, told: str) -> None:
    """Put a delivery on record, unless it is there already. It is durable when this returns."""
    with ledger.transaction() as session:
        session.execute(
            insert(DeliveryRow)
            .values(service=service, forge=forge, delivery=delivery, ref=ref, told=told)
            .on_conflict_do_nothing()
        )


def waiting(ledger: Database) -> dict[str, list[Waiting]]:
    """Give the deliveries that wait, by service, as they came; of each service the newest thousand at most."""
    place = func.row_number().over(partition_by=DeliveryRow.service, order_by=DeliveryRow.id.desc())
    numbered = (
        select(DeliveryRow.service, DeliveryRow.id, DeliveryRow.told, place.label("place"))
        .where(DeliveryRow.settled_at.is_(None))
        .subquery()
    )
    with ledger.transaction() as session:
        rows = session.execute(
            select(numbered.c.service, numbered.c.id, numbered.c.told)
            .where(numbered.c.place <= 1000)
            .order_by(numbered.c.id)
        ).all()
    found: dict[str, list[Waiting]] = {}
    for service, id_, told in rows:
        found.setdefault(service, []).append(Waiting(id_, told))
    return found


def settle(ledger: Database, service: str, last: int, run_id: str | None) -> None:
    """Put on record which run a service's deliveries meant, up to the one with the id `last`; None: nothing is released."""
    with ledger.transaction() as session:
        session.execute(
            update(DeliveryRow)
            .where(DeliveryRow.service == service, DeliveryRow.settled_at.is_(None), DeliveryRow.id <= last)
            .values(run_id=run_id, settled_at=func.greatest(NOW, DeliveryRow.received_at))
        )


@dataclass(frozen=True)
class Heard:
    """When a forge was last heard of a service."""

    forge: str
    at: datetime
    run_id: str | None


def heard(ledger: Database, service: str) -> list[Heard]:
    """Give the newest delivery of each forge."""
    with ledger.transaction() as session:
        rows = session.scalars(
            select(DeliveryRow)
            .where(DeliveryRow.service == service)
            .ext(distinct_on(DeliveryRow.forge))
            .order_by(DeliveryRow.forge, DeliveryRow.received_at.desc())
        )
        return [Heard(row.forge, row.received_at, row.run_id) for row in rows]


def forget(ledger: Database, days: int = KEPT_DAYS) -> None:
    """Take away what was settled so many days ago."""
    with ledger.transaction() as session:
        session.execute(delete(DeliveryRow).where(DeliveryRow.settled_at < NOW - timedelta(days=days)))
