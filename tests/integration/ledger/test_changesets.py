"""What a database has is remembered, and what it may have stays in doubt."""

from __future__ import annotations

from slipway.ledger import Ledger
from slipway.release import Changeset


def test_changesets_are_remembered_in_the_order_of_application(ledger: Ledger) -> None:
    one, two, three = Changeset("c1"), Changeset("c2"), Changeset("c3", "contract")
    ledger.applied("svc", "staging", [two, one], None, all_=True)
    ledger.applied("svc", "staging", [one, three], "svc.run", all_=False)
    found = ledger.changesets("svc", "staging")
    assert [(c.id, c.phase, c.run_id) for c in found] == [
        ("c2", "expand", None),
        ("c1", "expand", None),
        ("c3", "contract", "svc.run"),
    ]
    # undone by another hand, and a label that was corrected
    ledger.applied("svc", "staging", [one, Changeset("c3")], None, all_=True)
    assert [(c.id, c.phase) for c in ledger.changesets("svc", "staging")] == [
        ("c1", "expand"),
        ("c3", "expand"),
    ]
    assert ledger.changesets("svc", "production") == []


def test_what_a_run_began_to_apply_stays_in_doubt_until_somebody_tells(ledger: Ledger) -> None:
    def known() -> list[tuple[str, bool]]:
        return [(one.id, one.is_certain) for one in ledger.changesets("svc", "staging")]

    one, two, three = Changeset("c1"), Changeset("c2"), Changeset("c3", "contract")
    ledger.applied("svc", "staging", [one], None, all_=True)
    for _ in range(2):  # cleared
        ledger.applying("svc", "staging", [one, two, three], "svc.run")
    assert known() == [("c1", True), ("c2", False), ("c3", False)]
    ledger.applied("svc", "staging", [], "svc.run", all_=False)  # it does not know, either
    ledger.applied("svc", "staging", [], "svc.other", all_=False, left=["c2", "c3"])  # of its own it knows
    assert known() == [("c1", True), ("c2", False), ("c3", False)]
    # what an earlier try of it has applied is not told again, but is not left
    ledger.applied("svc", "staging", [], "svc.run", all_=False, left=["c3"])
    assert known() == [("c1", True), ("c2", True)]
    ledger.applying("svc", "staging", [three], "svc.run")
    ledger.applied("svc", "staging", [one, two], None, all_=True)  # the next release has asked the database
    assert known() == [("c1", True), ("c2", True)]
