"""What is held is not deployed until it is let go."""

from __future__ import annotations

from slipway.ledger import Ledger

A = "a" * 40


def test_a_person_holds_a_commit_and_the_first_reason_stands(ledger: Ledger) -> None:
    ledger.hold("svc", "staging", A, "not before Monday")
    ledger.hold("svc", "staging", A, "another")
    ledger.hold("other", "staging", A, "elsewhere")
    assert [(one.service, one.reason) for one in ledger.holds("svc")] == [("svc", "not before Monday")]
    assert {one.service for one in ledger.holds()} == {"svc", "other"}
