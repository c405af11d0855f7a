"""Whether a run goes on, as Airflow tells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse

from slipway.errors import Permanent
from slipway.stages import connections, runs


@pytest.fixture(autouse=True)
def ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ledger", lambda: None)
    monkeypatch.setattr(runs.rollbacks, "find", lambda _ledger, run: run == "by-hand" or None)


def context(answer: str | int) -> Any:
    def state(dag_id: str, run_id: str) -> str:
        asked.append(dag_id)
        if isinstance(answer, int):
            error = ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": answer})
            raise AirflowRuntimeError(error)
        return answer

    asked: list[str] = []
    return {"ti": SimpleNamespace(dag_id="release_svc", get_dagrun_state=state, asked=asked)}


@pytest.mark.parametrize(
    ("answer", "goes_on"),
    [("queued", True), ("running", True), ("success", False), ("failed", False), (404, False)],
)
def test_run_goes_on_until_it_has_ended_or_was_deleted(answer: str | int, goes_on: bool) -> None:
    assert runs.alive(context(answer), "svc.a") is goes_on


def test_rollback_by_hand_is_a_run_of_its_own_dag() -> None:
    asked = context("running")
    assert runs.alive(asked, "by-hand")
    assert runs.alive(asked, "svc.a")
    assert runs.alive(asked, "svc.a", "release_other")
    assert asked["ti"].asked == [runs.ROLLBACK, "release_svc", "release_other"]


def test_what_airflow_does_not_tell_is_not_taken_for_an_end() -> None:
    with pytest.raises(Permanent, match="does not tell the state of svc"):
        runs.alive(context(500), "svc.a")
