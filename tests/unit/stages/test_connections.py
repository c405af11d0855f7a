"""The real world: adapters bound to their client, and Airflow's word on runs."""

from __future__ import annotations

from enum import StrEnum
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from slipway.errors import Permanent
from slipway.stages import connections
from slipway.stages.connections import AirflowRuns, Bound, Outside


class State(StrEnum):
    FAILED = "failed"


class Ti:
    """Answers as Airflow's task instance does."""

    asked: Any = None

    def get_dagrun_state(self, dag_id: str, run_id: str) -> Any:
        return State.FAILED

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, Any]]:
        return {run_ids[0]: {"gate": State.FAILED, "lane": "running", "report": None}}

    def get_dr_count(self, **asked: Any) -> int:
        self.asked = asked
        return 2

    def get_dag(self, dag_id: str) -> Any:
        return SimpleNamespace(is_paused=True)


def test_bound_adapter_gives_its_client_first() -> None:
    adapter = ModuleType("adapter")
    adapter.look = lambda client, at, *, twice=False: (client, at, twice)  # type: ignore[attr-defined]
    assert Bound(adapter, "client").look("here", twice=True) == ("client", "here", True)
    with pytest.raises(AttributeError, match="nothing"):
        Bound(adapter, "client").nothing()


def test_states_are_words_and_what_has_none_is_left_out() -> None:
    runs = AirflowRuns(ti := Ti())
    assert runs.state("d", "r") == "failed"
    assert runs.task_states("d", "r") == {"gate": "failed", "lane": "running"}
    assert runs.count("d", states=["running"]) == 2
    assert ti.asked == {"dag_id": "d", "states": ["running"]}
    assert runs.is_paused("d")


def test_engine_without_an_address_says_which_connection_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        connections.BaseHook, "get_connection", lambda _id: SimpleNamespace(extra_dejson={}, password=None)
    )
    with pytest.raises(Permanent, match="connection slipway_engine names no engine"):
        connections.engine_url()


def test_clocks_go_on() -> None:
    outside = Outside()
    assert outside.now().tzinfo
    assert outside.monotonic() <= outside.monotonic()
