"""Changesets in the ledger: what a service's database has, and what a run was about to apply to it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from slipway.ledger.database import Database
from slipway.ledger.tables import ChangesetRow
from slipway.release import Changeset


class Changesets(Database):
    """The changesets of each service's database, as far as is recorded."""

    def applying(self, service: str, environment: str, changesets: Sequence[Changeset], run_id: str) -> None:
        """Records which changesets a run is about to apply: if it is never heard of again, the database may have them."""
        with self.transaction() as session:
            for one in changesets:
                session.execute(
                    insert(ChangesetRow)
                    .values(
                        service=service,
                        environment=environment,
                        id=one.id,
                        phase=one.phase,
                        run_id=run_id,
                        certain=False,
                    )
                    .on_conflict_do_nothing(index_elements=["service", "environment", "id"])
                )

    def applied(
        self,
        service: str,
        environment: str,
        changesets: Sequence[Changeset],
        run_id: str | None,
        *,
        all_: bool,
        left: Sequence[str] | None = None,
    ) -> None:
        """Records which changesets the database has, in the order in which they were applied.

        :param all_: whether these are all that it has: what is recorded besides was undone by another, and is forgotten.
        :param left: ids of those that this run was about to apply and did not; the others are applied. None: not known.
        """
        with self.transaction() as session:
            here = (ChangesetRow.service == service, ChangesetRow.environment == environment)
            if all_:
                session.execute(
                    delete(ChangesetRow).where(*here, ChangesetRow.id.not_in([one.id for one in changesets]))
                )
            for one in changesets:
                session.execute(
                    insert(ChangesetRow)
                    .values(
                        service=service, environment=environment, id=one.id, phase=one.phase, run_id=run_id
                    )
                    .on_conflict_do_update(
                        index_elements=["service", "environment", "id"],
                        set_={"phase": one.phase, "certain": True},
                    )
                )
            if left is not None:
                begun = (*here, ChangesetRow.run_id == run_id, ChangesetRow.certain.is_(False))
                session.execute(delete(ChangesetRow).where(*begun, ChangesetRow.id.in_(left)))
                session.execute(update(ChangesetRow).where(*begun).values(certain=True))

    def changesets(self, service: str, environment: str) -> list[Changeset]:
        """Gives the changesets that the database has, as far as is recorded, in the order in which they were applied."""
        with self.transaction() as session:
            rows = session.scalars(
                select(ChangesetRow)
                .where(ChangesetRow.service == service, ChangesetRow.environment == environment)
                .order_by(ChangesetRow.position)
            )
            return [Changeset(row.id, row.phase, row.run_id, row.certain) for row in rows]
