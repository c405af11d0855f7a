"""What Airflow shows of a service whose catalog file is invalid, with the option that compose and the sandbox set."""

from __future__ import annotations

import configparser
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(120)  # a process imports all of the stages

ROOT = Path(__file__).parents[3]


def test_import_error_is_the_catalogs_message_and_other_dags_stay(tmp_path: Path) -> None:
    options = configparser.RawConfigParser()
    options.read(ROOT / "compose/airflow.cfg")
    for folder in ("dags", "catalog"):
        (tmp_path / folder).mkdir()
    good = (ROOT / "include/services/ai-generation.yaml").read_text()
    dag = (ROOT / "dags/release_ai_generation.py").read_text()
    for name, text in {
        "ai-generation": good,
        "broken": good.replace("order: expand-contract", "order: befor"),
    }.items():
        (tmp_path / f"catalog/{name}.yaml").write_text(text.replace("ai-generation\n", f"{name}\n", 1))
        (tmp_path / f"dags/release_{name}.py").write_text(dag.replace("ai-generation", name))
    done = subprocess.run(
        [
            sys.executable,
            str(Path(__file__).with_name("parse.py")),
            str(tmp_path / "dags"),
            str(tmp_path / "catalog"),
        ],
        cwd=tmp_path,
        env={
            "AIRFLOW_HOME": str(tmp_path),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGBAG_IMPORT_ERROR_TRACEBACKS": options["core"][
                "dagbag_import_error_tracebacks"
            ],
            "PYTHONPATH": str(ROOT / "include"),
            "PYTHONWARNINGS": "ignore",
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    [parsed] = json.loads(done.stdout.splitlines()[-1])  # after what Airflow logs of the error
    assert set(parsed["dags"]) == {"release_ai_generation"}
    [(file, said)] = parsed["import_errors"].items()
    assert file.endswith("release_broken.py")
    lines = said.splitlines()
    assert lines[0] == "1 problem in the catalog:"
    assert lines[1].startswith(f"  {tmp_path}/catalog/broken.yaml:")
    assert lines[1].endswith(
        "deploy.order: `befor` is not allowed; did you mean `before`? (legal: before, after, expand-contract)"
    )
    assert lines[2].startswith("What to do: ")
    assert "Traceback" not in said
