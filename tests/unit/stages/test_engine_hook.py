"""An engine that does not answer is said to be that, not only to Airflow's log."""

from __future__ import annotations

from pathlib import Path

import pytest

from slipway.errors import Transient
from slipway.stages import connections
from slipway.stages.engine_hook import EngineHook


def test_engine_that_does_not_answer_is_transient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/nothing.sock"
    monkeypatch.setattr(connections, "engine_url", lambda: url)
    with pytest.raises(Transient, match="signing in to the registry"):
        _ = EngineHook(base_url=url, version="auto").api_client
