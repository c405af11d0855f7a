"""A provider's operator may be run by one of ours, without a word of Airflow's guard against calls by mistake."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import BaseOperator

from slipway.stages import provider


class Work(BaseOperator):
    """What a provider's operator stands for."""

    def execute(self, context: Any) -> Any:
        """Give what it is given."""
        return context["given"]


def test_it_gives_what_the_operator_gives_and_the_guard_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Work, "log", type("Log", (), {"warning": staticmethod(said.append)}), raising=False)
    monkeypatch.setattr("airflow.sdk.bases.operator.ExecutorSafeguard.test_mode", False)
    context: Any = {"given": 7}
    assert provider.run(Work(task_id="work"), context) == 7
    assert said == []
    Work(task_id="work").execute(context)
    assert said, "the guard is not there any more: nor need we go round it"
