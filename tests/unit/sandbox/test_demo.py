"""The demo goes on where the hook could not: it gives Airflow a few seconds only."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipway_sandbox import demo


def _project(found: dict[str, Any] | None) -> Any:
    return SimpleNamespace(
        service=SimpleNamespace(dag_id="release_ai_generation"),
        airflow=SimpleNamespace(run=lambda dag_id, run_id: found),
        run_id=lambda commit: f"ai-generation.{commit[:12]}",
        sandbox=SimpleNamespace(
            layout=SimpleNamespace(bin=Path("/bin"), state=Path("/state"), cache=Path("/cache"))
        ),
    )


@pytest.mark.parametrize(("found", "commands"), [({"state": "running"}, 0), (None, 1)])
def test_what_the_hook_could_not_start_in_its_time_is_started_by_the_command(
    found: dict[str, Any] | None, commands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[Any], **_: Any) -> Any:
        ran.append([str(part) for part in command])
        return SimpleNamespace(stdout="started")

    monkeypatch.setattr(demo, "run", run)
    demo.start_if_need_be(_project(found), "a" * 40)
    assert ran == [["/bin/slipway", "release", "ai-generation", "a" * 40]] * commands
