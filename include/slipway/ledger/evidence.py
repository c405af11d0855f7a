"""Evidence in the ledger: the verdicts of gates, each by the key of all that decides it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy.dialects.postgresql import insert

from slipway.ledger.database import Database
from slipway.ledger.records import Evidence
from slipway.ledger.tables import EvidenceRow
from slipway.release import Outcome
from slipway.version import this


class Verdicts(Database):
    """The verdicts of gates. The first one under a key stands."""

    def evidence(self, key: str) -> Evidence | None:
        """Gives the verdict kept under a key (see `slipway.release.evidence_key`)."""
        with self.transaction() as session:
            row = session.get(EvidenceRow, key)
            return _frozen(row) if row else None

    def record_evidence(
        self,
        key: str,
        gate: str,
        outcome: Outcome | str,
        run_id: str,
        tree: str,
        seconds: float,
        reason: str | None = None,
        report: Any = None,
    ) -> Evidence:
        """Keeps a verdict (passed or failed). The first one under a key stands; gives the one that stands.

        :param report: any JSON value; bounded by the caller.
        """
        with self.transaction() as session:
            session.execute(
                insert(EvidenceRow)
                .values(
                    key=key,
                    gate=gate,
                    outcome=Outcome(outcome).value,
                    run_id=run_id,
                    tree=tree,
                    seconds=seconds,
                    reason=reason,
                    report=report,
                    slipway=this(),
                )
                .on_conflict_do_nothing(index_elements=["key"])
            )
            return _frozen(session.get_one(EvidenceRow, key))


def _frozen(row: EvidenceRow) -> Evidence:
    known = {field.name: getattr(row, field.name) for field in fields(Evidence)}
    return Evidence(**{**known, "outcome": Outcome(row.outcome)})
