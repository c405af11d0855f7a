"""How a stage ends is on record with its code before Airflow hears of it; an upgrade in the middle of its release is said."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from slipway import version
from slipway.errors import Permanent, PolicyFailed, Superseded, Transient, Unchanged
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
    "task": SimpleNamespace(is_teardown=True),
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


Row = tuple[Outcome, str | None, str | None]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> list[Row]:
    """Gives outcome, first line of the reason, and code of each record of a stage."""
    found: list[Row] = []

    class Ledger:
        def stage(
            self, run: str, name: str, outcome: Outcome, seconds: float, reason: str | None, **known: Any
        ) -> None:
            found.append((outcome, reason.splitlines()[0] if reason else None, known["code"]))

        def record(self, run: str) -> None:
            return None

    monkeypatch.setattr(connections, "ledger", Ledger)
    return found


@pytest.fixture
def context() -> dict[str, Any]:
    ti = SimpleNamespace(run_id="web.0123456789ab", task_id="gate", xcom_push=lambda **_: None)
    task = SimpleNamespace(is_teardown=False, upstream_task_ids=set())  # the first, which asks by itself
    return {"ti": ti, "dag": SimpleNamespace(tags={"release"}), "task": task}


@pytest.mark.parametrize(
    ("error", "row", "told"),
    [
        (PolicyFailed("no", code="gate.failed"), (Outcome.FAILED, "no", "gate.failed"), AirflowFailException),
        (
            Permanent("denied", code="vault.path-denied", remedy="allow it"),
            (Outcome.ERRORED, "denied", "vault.path-denied"),
            AirflowFailException,
        ),
        (
            Transient("away", code="engine.unreachable"),
            (Outcome.ERRORED, "away", "engine.unreachable"),
            AirflowException,
        ),
        (
            Superseded("by 2", code="release.superseded", by="2"),
            (Outcome.SUPERSEDED, "by 2", "release.superseded"),
            AirflowSkipException,
        ),
        (
            Unchanged("as deployed", code="release.unchanged"),
            (Outcome.UNCHANGED, "as deployed", "release.unchanged"),
            AirflowSkipException,
        ),
        (AirflowSkipException("not needed"), (Outcome.SKIPPED, "not needed", None), AirflowSkipException),
        (
            AirflowTaskTimeout("60 s"),
            (Outcome.ERRORED, "the task took longer than its execution_timeout: 60 s", "stage.timed-out"),
            AirflowTaskTimeout,
        ),
        (KeyError("x"), (Outcome.ERRORED, "KeyError: 'x'", "stage.broke"), KeyError),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, BaseException) else "",
)
def test_an_end_is_recorded_with_its_code_before_airflow_hears_of_it(
    error: BaseException, row: Row, told: type[BaseException], rows: list[Row], context: dict[str, Any]
) -> None:
    with pytest.raises(told) as caught, recorded(context):
        raise error
    assert type(caught.value) is told
    assert rows == [row]


def test_what_ends_well_has_no_code(rows: list[Row], context: dict[str, Any]) -> None:
    with recorded(context):
        pass
    assert rows == [(Outcome.PASSED, None, None)]
