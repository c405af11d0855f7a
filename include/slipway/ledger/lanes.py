"""Lanes in the ledger: who may change a service's environment just now, and until when if nothing is heard of them."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from slipway.ledger.database import NOW, Database
from slipway.ledger.records import Holder
from slipway.ledger.tables import LaneRow, LaneTurnRow


class Lanes(Database):
    """The lane of each service and environment: one holder at a time, by one statement."""

    def lane_acquire(self, service: str, environment: str, run_id: str, ttl_s: float) -> Holder | None:
        """Takes the lane, or keeps it if this run has it. Gives None when it is ours, else who holds it.

        :param ttl_s: seconds until it is anybody's, unless renewed.
        """
        expires = NOW + timedelta(seconds=ttl_s)
        taken = {"run_id": run_id, "acquired_at": NOW, "expires_at": expires}
        with self.transaction() as session:
            here = (LaneRow.service == service, LaneRow.environment == environment)
            had = session.scalar(select(LaneRow.run_id).where(*here, LaneRow.run_id == run_id))
            # One statement decides: of two runs at once, the second waits for the row and then sees it held.
            ours = session.scalar(
                insert(LaneRow)
                .values(service=service, environment=environment, **taken)
                .on_conflict_do_update(
                    index_elements=["service", "environment"],
                    set_=taken,
                    where=(LaneRow.run_id == run_id) | (LaneRow.expires_at <= NOW),
                )
                .returning(LaneRow.run_id)
            )
            if ours:
                if not had:
                    session.execute(
                        insert(LaneTurnRow)
                        .values(service=service, environment=environment, turn=1)
                        .on_conflict_do_update(
                            index_elements=["service", "environment"], set_={"turn": LaneTurnRow.turn + 1}
                        )
                    )
                return None
            row = session.get(LaneRow, (service, environment))
            # No row: let go since the statement looked. The caller asks again, as after any other holder.
            return (
                Holder(row.run_id, row.expires_at)
                if row
                else Holder("nobody", session.scalars(select(NOW)).one())
            )

    def lane_renew(self, service: str, environment: str, run_id: str, ttl_s: float) -> bool:
        """Holds the lane `ttl_s` seconds more, from now. False when it is not ours: change nothing more."""
        with self.transaction() as session:
            mine = (LaneRow.service == service, LaneRow.environment == environment, LaneRow.run_id == run_id)
            changed = (
                update(LaneRow)
                .where(*mine, LaneRow.expires_at > NOW)
                .values(expires_at=NOW + timedelta(seconds=ttl_s))
            )
            return session.scalar(changed.returning(LaneRow.run_id)) is not None

    def lane_holder(self, service: str, environment: str) -> Holder | None:
        """Gives who has the lane now; None if it is anybody's."""
        with self.transaction() as session:
            here = (LaneRow.service == service, LaneRow.environment == environment)
            row = session.scalar(select(LaneRow).where(*here, LaneRow.expires_at > NOW))
            return Holder(row.run_id, row.expires_at) if row else None

    def lane_turn(self, service: str, environment: str) -> int:
        """Gives how often the lane was taken: as long as that is the same, only who has it now may have changed anything."""
        with self.transaction() as session:
            return (
                session.scalar(
                    select(LaneTurnRow.turn).where(
                        LaneTurnRow.service == service, LaneTurnRow.environment == environment
                    )
                )
                or 0
            )

    def lane_release(self, service: str, environment: str, run_id: str) -> bool:
        """Lets the lane go if this run holds it; harmless otherwise. Gives whether it did."""
        with self.transaction() as session:
            mine = (LaneRow.service == service, LaneRow.environment == environment, LaneRow.run_id == run_id)
            return session.scalar(delete(LaneRow).where(*mine).returning(LaneRow.run_id)) is not None
