"""The heavy imports happen only in a process that forks tasks."""

from __future__ import annotations

import pytest

from slipway.preload import preload


@pytest.mark.parametrize("argv", [["airflow", "api-server"], ["airflow", "dag-processor"], ["pytest"], []])
def test_other_processes_do_not_pay(argv: list[str]) -> None:
    assert preload(argv) is False
