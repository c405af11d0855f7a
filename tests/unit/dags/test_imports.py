"""What parsing a DAG file costs where nothing was imported before: which modules it loads, and how much CPU it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(120)  # one process imports what the dag-processor has

ROOT = Path(__file__).parents[3]
FILES = sorted(path.name for path in (ROOT / "dags").glob("*.py"))
HEAVY = {
    *("airflow.providers.cncf.kubernetes.hooks", "airflow.providers.cncf.kubernetes.operators"),
    *(
        "airflow.providers.docker.hooks",
        "airflow.providers.docker.operators",
        "airflow.providers.hashicorp.hooks",
    ),
    *("alembic", "docker", "hvac", "kubernetes", "psycopg2", "requests"),
    "slipway.ledger.tables",  # SQLAlchemy itself is there already, our tables are not
}
"""Modules that only a task that runs may import; ruff's TID253 finds the direct imports of them, this also those by others."""

PROGRAM = """
import json, os, runpy, sys
import airflow.dag_processing.manager, airflow.sdk, gc
from airflow.serialization.serialized_objects import DagSerialization
before = set(sys.modules)
gc.freeze()  # as it does
for file in sys.argv[1:]:
    out, into = os.pipe()
    if not (child := os.fork()):
        DagSerialization.to_dict(runpy.run_path(file)["dag"])
        os.write(into, json.dumps(sorted(set(sys.modules) - before)).encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        loaded = json.load(pipe)
    used = os.wait4(child, 0)[2]
    print(json.dumps({"before": sorted(before), "loaded": loaded, "seconds": used.ru_utime + used.ru_stime}))
"""


@pytest.fixture(scope="module")
def parses(
    tmp_path_factory: pytest.TempPathFactory, parsing: Callable[[Path], dict[str, str]]
) -> dict[str, dict[str, Any]]:
    """Gives what each DAG file loads in a process that was forked, as by the dag-processor, from one which has parsed none."""
    home = tmp_path_factory.mktemp("airflow")
    environment = parsing(home)
    command = [sys.executable, "-c", PROGRAM, *(str(ROOT / "dags" / name) for name in FILES)]
    said = subprocess.run(command, cwd=home, env=environment, check=True, capture_output=True, text=True)
    return dict(zip(FILES, map(json.loads, said.stdout.splitlines()[-len(FILES) :]), strict=True))


@pytest.mark.parametrize("name", FILES)
def test_a_dag_file_imports_nothing_that_only_its_tasks_need(
    parses: dict[str, dict[str, Any]], name: str
) -> None:
    assert HEAVY & set(parses[name]["loaded"]) == set()
    assert HEAVY & set(parses[name]["before"]) == set(), "Airflow has it anyway: take it off the list"


def test_a_dag_file_takes_little_to_parse(
    parses: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        for name, parse in parses.items():
            print(f"\n{name}: {parse['seconds']:.2f} s of CPU", end="")
    # 0.2 s on two idle cores; on busy ones the same takes twice that
    assert max(parse["seconds"] for parse in parses.values()) < 1
