from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from groups import group

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("integration/ledger/test_lanes.py", "ledger"),
        ("integration/adapters/engine/test_builds.py", "adapters"),
        ("integration/toolboxes/test_gates.py", "toolboxes/test_gates.py"),
        ("integration/toolboxes/migrations/test_phases.py", "toolboxes/migrations/test_phases.py"),
        ("e2e/test_rollback.py", "ai-generation"),
        ("e2e/test_flyway.py", "prompt-library"),
        ("unit/test_groups.py", "unit/test_groups.py"),
    ],
)
def test_what_shares_a_part_or_a_service_is_one_group(path: str, wanted: str) -> None:
    assert group(path) == wanted


@pytest.mark.timeout(60)  # three processes that import pytest
def test_side_by_side_each_group_stays_with_one_worker(tmp_path: Path) -> None:
    folders = [tmp_path / "tests/integration" / name for name in ("adapters", "ledger")]
    for folder in folders:
        folder.mkdir(parents=True)
        for name in ("a", "b"):
            (folder / f"test_{name}.py").write_text(
                "import os, pathlib, pytest\n"
                "@pytest.mark.parametrize('number', range(4))\n"
                "def test_it(number):\n"
                "    with (pathlib.Path(__file__).parent / 'workers').open('a') as said:\n"
                "        said.write(os.environ['PYTEST_XDIST_WORKER'] + '\\n')\n"
            )
    (tmp_path / "tests/conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --import-mode=importlib\nmarkers =\n  integration: for real\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--numprocesses=2", "tests"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
    workers = defaultdict[str, list[str]](list)
    for folder in folders:
        workers[folder.name] = (folder / "workers").read_text().split()
    assert {name: (len(said), len(set(said))) for name, said in workers.items()} == {
        "adapters": (8, 1),
        "ledger": (8, 1),
    }
