"""The nightly refresh's DAG: a group for each service, that no other service's failure stops; a report, always."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(120)  # a process imports all of the stages

ROOT = Path(__file__).parents[3]
STEPS = ["look", "workspace", "dependencies", "release", "released", "drift", "healthy"]
RENEWED = {"advisories", "bases"}
ALWAYS = {"clean.registry", "clean.leftovers", "clean.engine", "clean.ledger", "report"}


@pytest.fixture(scope="module")
def dag(
    tmp_path_factory: pytest.TempPathFactory, parsing: Callable[[Path], dict[str, str]]
) -> dict[str, Any]:
    """Gives the DAG of a catalog of two good services and a broken one."""
    home = tmp_path_factory.mktemp("airflow")
    services = home / "services"
    services.mkdir()
    good = (ROOT / "include/services/ai-generation.yaml").read_text()
    (services / "ai-generation.yaml").write_text(good)
    other = good.replace("service: ai-generation\n", "service: other\n", 1)
    other = other.replace("namespace: ai-generation\n", "namespace: other\n")
    (services / "other.yaml").write_text(other)
    (services / "broken.yaml").write_text("service: broken\n")
    (home / "refresh.yaml").write_text("schedule: 5 4 * * 1-5\ntimezone: Asia/Tokyo\n")
    (home / "dags").mkdir()
    (home / "dags/staging_refresh.py").write_text((ROOT / "dags/staging_refresh.py").read_text())
    environment = parsing(home)
    command = [
        sys.executable,
        str(Path(__file__).with_name("parse.py")),
        str(home / "dags"),
        str(services),
        str(services),
    ]
    done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout.splitlines()[-1])
    assert first["import_errors"] == {}
    # the second parse: what Airflow itself imports once is no part of this file's time
    return {**first["dags"]["staging_refresh"], "seconds": second["seconds"]}


def test_it_runs_by_the_catalogs_clock_once_at_a_time_and_from_the_start(dag: dict[str, Any]) -> None:
    shown = json.dumps(dag["serialized"]["dag"]["timetable"])
    assert "5 4 * * 1-5" in shown
    assert "Asia/Tokyo" in shown
    assert (dag["catchup"], dag["max_active_runs"], dag["starts_paused"]) == (False, 1, False)
    assert "5 4 * * 1-5 (Asia/Tokyo)" in dag["doc_md"]
    assert "release" not in dag["tags"]  # its tasks are not stages of a release


def test_it_parses_at_once(dag: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print(f"\nstaging_refresh of 3 services: parsed in {dag['seconds']:.3f} s")
    assert dag["seconds"] < 1  # 0.1 s on two idle cores


def test_each_service_has_a_group_and_a_broken_one_has_its_problem(dag: dict[str, Any]) -> None:
    wanted = {f"{service}.{step}" for service in ("ai-generation", "other") for step in STEPS}
    assert set(dag["tasks"]) == wanted | ALWAYS | RENEWED | {"broken.look", "verdict"}


def test_no_service_waits_for_another(dag: dict[str, Any]) -> None:
    for name, task in dag["tasks"].items():
        service = name.split(".")[0]
        if service in ("ai-generation", "other", "broken"):
            assert all(one.startswith(f"{service}.") or one in RENEWED for one in task["upstream"]), name


def test_drift_is_repaired_and_everything_cleaned_and_told_whatever_failed(dag: dict[str, Any]) -> None:
    for name, task in dag["tasks"].items():
        always = name in ALWAYS or name.endswith((".look", ".drift", ".healthy")) or name == "bases"
        assert task["trigger_rule"] == ("all_done" if always else "all_success"), name
    assert set(dag["tasks"]["report"]["upstream"]) == set(dag["tasks"]) - {"report", "verdict"}


def test_run_is_as_the_verdict_since_nothing_comes_after_it(dag: dict[str, Any]) -> None:
    assert [name for name, task in dag["tasks"].items() if not task["downstream"]] == ["verdict"]
    assert dag["tasks"]["verdict"]["upstream"] == sorted(set(dag["tasks"]) - {"verdict"})


def test_every_task_is_bounded(dag: dict[str, Any]) -> None:
    for name, task in dag["tasks"].items():
        assert task["retries"] >= 3, name
        assert task["retry_delay_s"] > 0, name
        assert 0 < task["execution_timeout_s"] <= 900, name
