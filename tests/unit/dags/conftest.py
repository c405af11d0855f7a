"""What is parsed by a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def parsing() -> Callable[[Path], dict[str, str]]:
    """Gives the environment of a process that parses DAG files, and knows nothing of this one's: ``parsing(airflow_home)``."""

    def environment(home: Path) -> dict[str, str]:
        return {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            "PYTHONPATH": str(ROOT / "include"),
            "PYTHONWARNINGS": "ignore",
            "PATH": os.environ["PATH"],
        }

    return environment
