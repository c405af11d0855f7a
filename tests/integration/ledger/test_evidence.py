"""The newest of what a gate said under a key stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from slipway.errors import Permanent
from slipway.ledger import Ledger
from slipway.release import Outcome, evidence_key

DIGEST = f"sha256:{'d' * 64}"


def test_newest_evidence_under_a_key_stands(ledger: Ledger, begin: Callable[..., str]) -> None:
    run, key = begin(), evidence_key("t", DIGEST, ["unit"])
    assert ledger.evidence(key) is None
    first = ledger.record_evidence(key, "unit", "failed", run, "t", 2.0, "1 failed", {"tests": 3})
    assert (first.outcome, first.report) == (Outcome.FAILED, {"tests": 3})
    assert ledger.evidence(key) == first
    second = ledger.record_evidence(key, "unit", "passed", run, "t", 1.0)
    assert (second.outcome, second.report, second.reason) == (Outcome.PASSED, None, None)
    assert ledger.evidence(key) == second


def test_gate_that_was_not_evaluated_leaves_no_evidence(ledger: Ledger, begin: Callable[..., str]) -> None:
    with pytest.raises(Permanent, match="evidence_outcome_check"):
        ledger.record_evidence(evidence_key("t", DIGEST, ["unit"]), "unit", "errored", begin(), "t", 2.0)
