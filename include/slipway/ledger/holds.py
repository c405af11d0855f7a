"""Holds in the ledger: commits that are not deployed until someone lets them go."""

from __future__ import annotations

from dataclasses import fields

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from slipway.ledger.database import Database
from slipway.ledger.records import Hold
from slipway.ledger.tables import HoldRow


class Holds(Database):
    """What is held, in which environment, and why."""

    def hold(
        self, service: str, environment: str, commit: str, reason: str, run_id: str | None = None
    ) -> None:
        """Holds a commit: it is not deployed until it is let go. The first reason stands."""
        values = {"service": service, "environment": environment, "commit": commit}
        with self.transaction() as session:
            session.execute(
                insert(HoldRow).values(**values, run_id=run_id, reason=reason).on_conflict_do_nothing()
            )

    def let_go(self, service: str, environment: str, commit: str) -> bool:
        """Ends every hold of a commit. Gives whether there was one."""
        with self.transaction() as session:
            mine = (
                HoldRow.service == service,
                HoldRow.environment == environment,
                HoldRow.commit == commit,
            )
            return bool(session.scalars(delete(HoldRow).where(*mine).returning(HoldRow.commit)).all())

    def holds(self, service: str | None = None, environment: str | None = None) -> list[Hold]:
        """Gives the commits that are held, the newest hold first."""
        with self.transaction() as session:
            found = select(HoldRow).order_by(HoldRow.held_at.desc())
            if service:
                found = found.where(HoldRow.service == service)
            if environment:
                found = found.where(HoldRow.environment == environment)
            return [
                Hold(**{field.name: getattr(row, field.name) for field in fields(Hold)})
                for row in session.scalars(found)
            ]

    def held(
        self,
        service: str,
        environment: str,
        commit: str,
        config_revision: str | None = None,
        digest: str | None = None,
    ) -> Hold | None:
        """Gives why a commit is held, if it is, with this configuration and this image as far as they are known."""
        for one in self.holds(service, environment):
            fits = one.config_revision in ("", config_revision) and one.digest in ("", digest)
            if one.commit == commit and fits:
                return one
        return None
