"""How a stage ends is on record before Airflow hears of it, and an upgrade in the middle of its release is said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from slipway import version
from slipway.errors import Transient
from slipway.release import Outcome
from slipway.stages import connections
from slipway.stages.outcome import recorded


class Ledger:
    """What a stage asks of the ledger."""

    def __init__(self, begun_by: str | None) -> None:
        self.begun_by, self.stages = begun_by, list[tuple[Outcome, str | None]]()

    def record(self, run_id: str) -> Any:
        return SimpleNamespace(slipway=self.begun_by)

    def stage(
        self, run_id: str, name: str, outcome: Outcome, seconds: float, reason: str | None, **_: Any
    ) -> None:
        self.stages.append((outcome, reason))


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give what makes a ledger whose release was begun by a version of Slipway."""

    def begun(by: str | None) -> Ledger:
        ledger = Ledger(by)
        monkeypatch.setattr(connections, "ledger", lambda: ledger)
        return ledger

    return begun


CONTEXT = {
    "dag": SimpleNamespace(tags=["release"]),
    "ti": SimpleNamespace(run_id="svc.aaaaaaaaaaaa", task_id="image.push"),
}


def test_what_another_version_left_and_cannot_be_read_fails_for_good_and_says_so(begun: Any) -> None:
    ledger = begun("0.0.9")
    with (
        pytest.raises(AirflowFailException, match=r"begun by Slipway 0\.0\.9, and this is"),
        recorded(CONTEXT),
    ):
        {}["id"]  # type: ignore[index]
    [(outcome, reason)] = ledger.stages
    assert outcome is Outcome.ERRORED
    assert str(reason).endswith("the release then is of one version alone")


def test_the_same_fault_of_one_version_is_retried_as_ever(begun: Any) -> None:
    ledger = begun(version.this())
    with pytest.raises(KeyError), recorded(CONTEXT):
        {}["id"]  # type: ignore[index]
    assert ledger.stages == [(Outcome.ERRORED, "KeyError: 'id'")]


def test_what_may_be_the_upgrade_is_retried_and_says_how_else_to_go_on(begun: Any) -> None:
    ledger = begun("0.0.9")
    with pytest.raises(AirflowException) as caught, recorded(CONTEXT):
        raise Transient("the toolbox ended with 2", code="pod.failed")
    assert not isinstance(caught.value, AirflowFailException)
    [(_, reason)] = ledger.stages
    assert "clear this run's task `accept` with downstream" in str(reason)


def test_what_keeps_the_ledger_from_answering_is_what_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone() -> Any:
        raise Transient("the ledger is away", code="ledger.unreachable")

    monkeypatch.setattr(connections, "ledger", gone)
    with pytest.raises(AirflowException, match="the engine is away"), recorded(CONTEXT):
        raise Transient("the engine is away", code="engine.unreachable")
