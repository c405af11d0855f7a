"""Evidence in the ledger: the verdicts of gates, each by the key of all that decides it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert

from slipway.ledger.database import NOW, Database
from slipway.ledger.records import Evidence
from slipway.ledger.tables import EvidenceRow
from slipway.release import Outcome
from slipway.version import this


class Verdicts(Database):
    """What gates found. The newest under a key stands."""

    def evidence(self, key: str) -> Evidence | None:
        """Gives the verdict kept under a key (see `slipway.release.evidence_key`)."""
        with self.transaction() as session:
            row = session.get(EvidenceRow, key)
            return _frozen(row) if row else None

    def latest_evidence(self, gate: str, tree: str, limit: int) -> list[Evidence]:
        """Gives the newest verdicts that a gate has given about a tree, whatever else decided them."""
        with self.transaction() as session:
            rows = session.scalars(
                select(EvidenceRow)
                .where(EvidenceRow.gate == gate, EvidenceRow.tree == tree)
                .order_by(EvidenceRow.recorded_at.desc(), EvidenceRow.key)
                .limit(limit)
            )
            return [_frozen(row) for row in rows]

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
        """Keeps what a gate said, in place of what it said before: asked again on purpose, it may have found more.

        :param outcome: passed, or failed if it found something, whatever follows from that.
        :param report: any JSON value; bounded by the caller.
        """
        values = {
            "gate": gate,
            "outcome": Outcome(outcome).value,
            "run_id": run_id,
            "tree": tree,
            "seconds": seconds,
            "reason": reason,
            "report": report,
            "slipway": this(),
            "recorded_at": NOW,
        }
        with self.transaction() as session:
            session.execute(
                insert(EvidenceRow)
                .values(key=key, **values)
                .on_conflict_do_update(index_elements=["key"], set_=values)
            )
            return _frozen(session.get_one(EvidenceRow, key))


def _frozen(row: EvidenceRow) -> Evidence:
    known = {field.name: getattr(row, field.name) for field in fields(Evidence)}
    return Evidence(**{**known, "outcome": Outcome(row.outcome)})
