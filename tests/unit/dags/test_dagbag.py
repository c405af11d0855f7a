"""The DAGs as Airflow parses them: which there are, how tasks are bounded, and what comes before what."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from slipway.catalog import load_service

pytestmark = pytest.mark.timeout(120)  # two processes import all of the stages

ROOT = Path(__file__).parents[3]
DAGS, CATALOG = ROOT / "dags", ROOT / "include/services"
RELEASE, SECOND = "release_ai_generation", "release_prompt_library"
OTHERS = ("release_links", "release_notes")
RECONCILE, REFRESH, ROLLBACK = "reconcile", "staging_refresh", "rollback"
GATES = [
    "build.compile", "build.lint", "build.analyze", "test.unit", "test.integration",
    "scan.sast", "scan.dependencies", "scan.secrets", "scan.dockerfile", "scan.dynamic",
]  # fmt: skip
POOLS = {"default_pool", "slipway_engine", "slipway_cluster"}
# every other task waits for the success of all that is before it
AFTER_A_BRANCH = {
    "gate",
    "deploy.plan",
    "deploy.migrations",
    "deploy.apply",
    "verify.passed",
}
TEARDOWNS = {"unlane", "test.removed", "scan.removed", "report"}


@pytest.fixture(scope="module")
def parses(
    tmp_path_factory: pytest.TempPathFactory, parsing: Callable[[Path], dict[str, str]]
) -> dict[str, Any]:
    """Gives what two processes with different hash seeds parsed, and what comes of other catalogs."""
    home = tmp_path_factory.mktemp("airflow")
    entry = load_service(CATALOG / "ai-generation.yaml")
    others = {"before": {"order": "before"}, "after": {"order": "after"}, "none": {"migrations": None}}
    for name, change in others.items():
        changed = entry.model_copy(update={"deploy": entry.deploy.model_copy(update=change)})
        (home / name).mkdir()
        for other in ("prompt-library", "links", "notes"):
            shutil.copy(CATALOG / f"{other}.yaml", home / name)
        # JSON is YAML
        (home / name / "ai-generation.yaml").write_text(changed.model_dump_json(exclude_none=True))
    wanted = {"1": [CATALOG, *(home / name for name in others)], "2": [CATALOG]}
    running = {}
    for seed, folders in wanted.items():
        environment = {**parsing(home), "PYTHONHASHSEED": seed}
        command = [sys.executable, str(Path(__file__).with_name("parse.py")), str(DAGS), *map(str, folders)]
        # in a folder of its own: what lies in the current one must not decide what is imported
        running[seed] = subprocess.Popen(
            command, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    answers = {}
    for seed, process in running.items():
        said, complaints = process.communicate(timeout=100)
        assert process.returncode == 0, complaints
        answers[seed] = json.loads(said.splitlines()[-1])
    assert not list(home.glob("*.db")), "parsing made a database"
    return {"second": answers["2"][0], **dict(zip(["first", *others], answers["1"], strict=True))}


@pytest.fixture(scope="module")
def tasks(parses: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = parses["first"]["dags"][RELEASE]["tasks"]
    return found


def assert_in_order(tasks: dict[str, dict[str, Any]], *names: str) -> None:
    for earlier, later in pairwise(names):
        assert earlier in tasks[later]["upstream"], f"{earlier} does not come before {later}"
        assert later not in tasks[earlier]["upstream"]


def test_there_are_exactly_these_dags_and_no_import_errors(parses: dict[str, Any]) -> None:
    for parse in parses.values():
        assert parse["import_errors"] == {}
        assert set(parse["dags"]) == {RELEASE, SECOND, *OTHERS, RECONCILE, REFRESH, ROLLBACK}


def test_two_parses_serialize_to_the_same(parses: dict[str, Any]) -> None:
    for dag in (RELEASE, SECOND, *OTHERS, RECONCILE, REFRESH, ROLLBACK):
        first, second = (parses[name]["dags"][dag]["serialized"] for name in ("first", "second"))
        # but for the order of keys, which Airflow itself leaves to chance and sorts before it compares
        assert first == second


def test_a_dag_file_is_tiny_and_parses_at_once(
    parses: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(DAGS.glob("*.py"))
    assert [file.name for file in files] == sorted(
        f"{name}.py" for name in (RELEASE, SECOND, *OTHERS, RECONCILE, ROLLBACK, REFRESH)
    )
    for file in files:
        assert len(file.read_text().splitlines()) <= 15, file
    seconds = parses["first"]["seconds"]
    with capsys.disabled():
        print(f"\n{len(files)} DAG files: parsed in {seconds:.3f} s, the stages being imported")
    assert seconds < 2  # 0.1 s on two idle cores


def test_every_task_is_bounded_explicitly(parses: dict[str, Any], tasks: dict[str, dict[str, Any]]) -> None:
    stated = {"retries", "retry_delay", "execution_timeout", "trigger_rule", "pool", "owner"}
    assert stated <= set(parses["first"]["dags"][RELEASE]["default_args"])
    for name, task in tasks.items():
        assert task["retries"] >= 3, name
        assert task["retry_delay_s"] > 0, name
        assert 60 < task["execution_timeout_s"] <= 900, name
        assert task["pool"] in POOLS, name


def test_what_is_about_to_finish_goes_before_what_begins(tasks: dict[str, dict[str, Any]]) -> None:
    weight = {name: task["weight"] for name, task in tasks.items()}
    gates = set(GATES) | {"test.database", "scan.service"}
    for name in tasks.keys() - gates:
        assert all(weight[name] > weight[one] for one in {*tasks[name]["upstream"], *gates}), name
    assert max(weight, key=lambda one: weight[one]) == "report"


def test_a_run_is_given_all_the_time_that_its_tasks_may_take(
    parses: dict[str, Any], tasks: dict[str, dict[str, Any]]
) -> None:
    """Airflow ends a run that is late without any report: each task has its own end, and this is behind all of them."""
    chain = ["accept", "checkout", "dependencies", "test.integration", "gate", "image.build", "image.push",
             "deploy.config", "deploy.pending", "deploy.plan", "deploy.migrate", "deploy.apply", "deploy.rollout",
             "verify.smoke", "verify.health", "unlane", "report"]  # fmt: skip
    bounds = sum(tasks[name]["execution_timeout_s"] for name in chain)
    assert parses["first"]["dags"][RELEASE]["timeout_s"] > 2 * bounds


def test_trigger_rules_let_nothing_pass_that_failed(tasks: dict[str, dict[str, Any]]) -> None:
    for name, task in tasks.items():
        rule = "none_failed_min_one_success" if name in AFTER_A_BRANCH else "all_success"
        if name in TEARDOWNS:
            # of the throwaway parts something is left by a setup that failed or was killed, too
            rule = "all_done" if name.endswith(".removed") else "all_done_setup_success"
        if name == "rollback":
            rule = "one_failed"
        assert task["trigger_rule"] == rule, name


def test_what_runs_on_the_engine_or_in_the_cluster_is_in_its_pool(tasks: dict[str, dict[str, Any]]) -> None:
    pools = {"ContainerOperator": "engine"} | dict.fromkeys(
        ("ReleasePod", "PendingPod", "UpdatePod", "StageSensor"), "cluster"
    )
    assert set(pools) <= {task["kind"] for task in tasks.values()}
    for name, task in tasks.items():
        if task["kind"] in pools and name != "lane":  # which may wait long, and not in the way of others
            assert task["pool"] == f"slipway_{pools[task['kind']]}", name


def test_the_gate_waits_for_and_asks_for_every_gate(
    parses: dict[str, Any], tasks: dict[str, dict[str, Any]]
) -> None:
    assert parses["first"]["dags"][RELEASE]["required"] == GATES
    for name in GATES:
        assert_in_order(tasks, "accept", "checkout", "dependencies", name, "gate")
    beside = {name for name in tasks if name.split(".")[0] in ("build", "test", "scan")} - set(GATES)
    assert all(tasks[name]["setup"] or tasks[name]["teardown"] for name in beside), beside


def test_nothing_is_built_published_or_deployed_before_the_gate(tasks: dict[str, dict[str, Any]]) -> None:
    assert_in_order(tasks, "gate", "image.build", "image.push", "deploy.config")
    assert_in_order(tasks, "gate", "image.sbom", "image.push")
    for name in tasks:
        if name.split(".")[0] in ("image", "deploy", "verify"):
            assert_in_order(tasks, "gate", name)


def test_report_is_a_teardown_after_everything_and_hides_no_failure(tasks: dict[str, dict[str, Any]]) -> None:
    report = tasks["report"]
    assert report["teardown"]
    assert not report["decides"]
    assert report["downstream"] == []
    # Airflow leaves teardowns out of what `group >> report` waits for
    assert set(report["upstream"]) == set(tasks) - {"report"}
    assert {name for name, task in tasks.items() if task["teardown"]} == TEARDOWNS
    assert {name for name, task in tasks.items() if task["decides"]} == set()


def test_what_is_set_up_is_torn_down_after_its_use(tasks: dict[str, dict[str, Any]]) -> None:
    setups = {"test.database", "scan.service", "lane"}
    assert {name for name, task in tasks.items() if task["setup"]} == setups
    assert_in_order(tasks, "test.database", "test.integration", "test.removed")
    assert_in_order(tasks, "scan.service", "scan.dynamic", "scan.removed")
    for name in tasks:
        if name.split(".")[0] in ("deploy", "verify", "rollback"):
            assert_in_order(tasks, "lane", name, "unlane")


def test_nothing_changes_before_the_plan(tasks: dict[str, dict[str, Any]]) -> None:
    before = {"deploy.config", "deploy.infra_changed", "deploy.infra_check", "deploy.pending"}
    assert before <= set(tasks["deploy.plan"]["upstream"])
    for name in {name for name in tasks if name.startswith("deploy.")} - before - {"deploy.plan"}:
        assert_in_order(tasks, "deploy.plan", name)


def test_the_playbook_runs_only_where_it_was_checked(tasks: dict[str, dict[str, Any]]) -> None:
    # a branch skips nothing to which another way leads: what was checked decides
    assert tasks["deploy.infra"]["trigger_rule"] == "all_success"
    assert_in_order(tasks, "deploy.infra_changed", "deploy.infra_check", "deploy.infra")


def test_migrations_precede_manifests_unless_the_catalog_says_otherwise(parses: dict[str, Any]) -> None:
    needed = ("deploy.plan", "deploy.migrations", "deploy.migrate")
    two, before, after = (parses[name]["dags"][RELEASE]["tasks"] for name in ("first", "before", "after"))
    for tasks in (two, before):
        assert_in_order(tasks, "deploy.pending", *needed, "deploy.apply", "deploy.rollout", "verify.health")
    assert_in_order(two, "verify.health", "verify.migrations", "verify.contract", "verify.passed")
    assert "verify.contract" not in before
    assert_in_order(
        after, "deploy.plan", "deploy.apply", "deploy.rollout", *needed[1:], "deploy.settled", "verify.health"
    )


def test_a_service_without_migrations_asks_no_database(parses: dict[str, Any]) -> None:
    tasks = parses["none"]["dags"][RELEASE]["tasks"]
    assert not {"deploy.pending", "deploy.migrations", "deploy.migrate", "verify.contract"} & set(tasks)
    assert_in_order(tasks, "deploy.config", "deploy.plan", "deploy.apply", "deploy.rollout", "verify.health")


def test_what_rolls_back_decides_nothing_and_follows_what_it_undoes(parses: dict[str, Any]) -> None:
    for name, watched in {
        "first": {"deploy.apply", "deploy.rollout", "verify.smoke", "verify.health"},
        "after": {"deploy.apply", "deploy.rollout", "deploy.migrate", "verify.smoke", "verify.health"},
    }.items():
        tasks = parses[name]["dags"][RELEASE]["tasks"]
        assert watched <= set(tasks["rollback"]["upstream"])
        assert "rollback" not in tasks["verify.passed"]["upstream"]
        # a leaf that is red when they are: Airflow calls a run by its leaves
        assert watched <= set(tasks["verify.passed"]["upstream"])


def test_the_reconciler_looks_at_each_service_in_bounded_time(parses: dict[str, Any]) -> None:
    dag = parses["first"]["dags"][RECONCILE]
    assert set(dag["tasks"]) == {"ai-generation", "prompt-library", "links", "notes"}
    assert (dag["catchup"], dag["max_active_runs"], dag["starts_paused"]) == (False, 1, False)
    assert "release" not in dag["tags"]  # its tasks are not stages of a release
    for task in dag["tasks"].values():
        assert task["retries"] >= 3
        assert 60 < task["execution_timeout_s"] <= 900
        assert not task["upstream"]  # a service waits for no other


def test_people_find_their_way(parses: dict[str, Any], tasks: dict[str, dict[str, Any]]) -> None:
    dag = parses["first"]["dags"][RELEASE]
    assert "AI Generation Service" in dag["doc_md"]
    assert dag["tags"] == ["ai-generation", "release", "team:generation"]
    assert dag["params"] == ["commit", "fresh", "infra", "ref", "service"]
    for name, task in tasks.items():
        assert task["title"] != name, f"{name} has no name that a person understands"
