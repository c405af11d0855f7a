"""What was deployed and fails goes back by itself, a person goes back at will, and neither where the schema forbids it."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from e2e.story import Unheard
from kubernetes import client
from slipway.ledger import Ledger, Release
from slipway.release import Outcome, Status
from slipway_sandbox.parts.vault import Vault
from slipway_sandbox.project import Project, Pushed
from slipway_sandbox.runs import Airflow

FAILING_SMOKE = {"smoke/smoke.py": 'raise SystemExit("the smoke test of this commit fails")\n'}
LOAD, SIDE_BY_SIDE = 2_000, 4
"""Requests at least, and how many ask at a time; they go on for as long as the release takes."""


@pytest.fixture(scope="module")
def ledger(project: Project) -> Iterator[Ledger]:
    with closing(Ledger((project.sandbox.layout.credentials / "ledger-url").read_text().strip())) as opened:
        yield opened


def slipway(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", 'eval "$(slipway sandbox env)" && exec slipway "$@"', "slipway", *arguments],
        cwd=project.sandbox.layout.checkout,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def leases(project: Project) -> list[str]:
    """Give the leases of the migrations' role that Vault has."""
    migrations = project.service.deploy.migrations
    assert migrations is not None
    listed = (
        Vault(project.sandbox).client().list(f"sys/leases/lookup/database/creds/{migrations.credentials}/")
    )
    return listed["data"]["keys"] if listed else []


def holders(ledger: Ledger) -> list[Any]:
    """Give the runs that have the example's lane: another service's may be released meanwhile."""
    with ledger.engine.connect() as connection:
        return list(connection.execute(text("SELECT run_id FROM lanes WHERE service = 'ai-generation'")))


@pytest.fixture(scope="module")
def good(project: Project, unheard: Unheard) -> Release:
    """What a rollback returns to: the release that serves."""
    serving = project.release(project.version()["commit"])
    assert serving.status is Status.PASSED, serving.reason
    return serving


@pytest.fixture(scope="module")
def bad(project: Project, good: Release) -> Pushed:
    """A release that adds to the schema, is deployed, and fails its smoke test."""
    files = {**FAILING_SMOKE, **project.changesets(f"rollback-{time.time_ns()}", expand="select 1;")}
    return project.push("Break the smoke test, and add to the schema", files=files)


def test_what_was_deployed_and_fails_is_rolled_back_though_it_added_to_the_schema(
    project: Project, good: Release, bad: Pushed, ledger: Ledger
) -> None:
    assert bad.state == "failed"
    assert (bad.release.status, bad.release.stage) == (Status.ROLLED_BACK, "verify.smoke")
    assert bad.release.code == "pod.failed"
    assert (bad.states["deploy.migrate"], bad.states["deploy.infra"]) == ("success", "skipped")
    assert bad.release.schema_revision_before == good.schema_revision
    assert bad.states["rollback"] == "success"
    assert bad.release.rolled_back_to == good.run_id
    assert str(bad.release.reason).startswith("verify.smoke failed: the smoke test of this commit fails")
    assert f"rolled back to {good.run_id}" in str(bad.release.reason)
    assert project.version()["commit"] == good.commit
    assert project.digests(bad.commit)["pods"] == {good.digest}
    note = project.clone.note(bad.commit)
    assert note is not None
    assert note.startswith("slipway: rolled_back")
    assert not leases(project)
    assert not holders(ledger)
    hold = ledger.held("ai-generation", "staging", bad.commit)
    assert hold is not None
    assert hold.reason.startswith("verify.smoke failed")


@pytest.mark.parametrize(
    ("task", "downstream"),
    # one that would apply again, and the whole half from before it; each task of a run in `deploy-clear-rolled-back`
    [("deploy.apply", False), ("deploy.plan", True)],
)
def test_clear_of_a_rolled_back_run_brings_nothing_back(
    project: Project, good: Release, bad: Pushed, ledger: Ledger, task: str, downstream: bool
) -> None:
    dag_id, run = project.service.dag_id, project.run_id(bad.commit)
    Airflow(project.sandbox, "admin").clear(dag_id, run, [task], downstream=downstream)
    assert project.airflow.follow(dag_id, run, timeout_s=300) == "failed"
    assert project.release(bad.commit).status is Status.ROLLED_BACK
    assert project.version()["commit"] == good.commit
    events = project.airflow.call("GET", f"/api/v2/assets/events?source_run_id={run}").json()["asset_events"]
    assert [one["extra"]["status"] for one in events] == ["rolled_back"]
    assert not leases(project)
    assert not holders(ledger)


def test_the_reconciler_leaves_a_rolled_back_commit_alone(
    project: Project, good: Release, bad: Pushed, ledger: Ledger
) -> None:
    before = len(ledger.releases("ai-generation", limit=1000))
    assert project.reconcile() == "skipped"
    assert len(ledger.releases("ai-generation", limit=1000)) == before
    assert project.version()["commit"] == good.commit


def test_a_held_commit_is_refused_until_it_is_let_go(project: Project, good: Release, bad: Pushed) -> None:
    refused = slipway(project, "release", "ai-generation", bad.commit, "--again", "--wait")
    assert refused.returncode == 1, refused.stderr
    assert f"commit {bad.commit} is held in staging since" in refused.stdout
    listed = json.loads(slipway(project, "holds", "list", "--json").stdout)
    assert bad.commit in [one["commit"] for one in listed]
    let_go = slipway(project, "holds", "release", "ai-generation", bad.commit[:12])
    assert let_go.returncode == 0, let_go.stderr
    assert bad.commit not in slipway(project, "holds", "list").stdout
    again = slipway(project, "holds", "release", "ai-generation", bad.commit[:12])
    assert again.returncode == 2


@dataclass(frozen=True)
class Rolled:
    """A release that rolled out while it was asked for its version.

    :param before: the commit that served when the asking began.
    :param answers: how often each commit answered; what else came of a request stands out.
    """

    pushed: Pushed
    before: str
    answers: Mapping[str, int]


def _reached(project: Project, run: str, task: str, timeout_s: float = 300) -> None:
    """Wait until a task of a run has ended."""
    end = time.monotonic() + timeout_s
    while project.airflow.tasks(project.service.dag_id, run).get(task, {}).get("state") != "success":
        assert time.monotonic() < end, f"{run} does not come to {task}"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def newer(project: Project, bad: Pushed) -> Rolled:
    """A good release after it; from its plan on until it has ended the service is asked for its version."""
    health = project.service.verify.health
    core = client.CoreV1Api(project.cluster())
    address = core.read_namespaced_service(health.service, project.service.deploy.namespace).spec.cluster_ip
    url, before = f"http://{address}:{health.port}{health.version}", project.version()["commit"]
    answers: Counter[str] = Counter()
    lock, done = threading.Lock(), threading.Event()

    def ask() -> None:
        with requests.Session() as session:
            session.trust_env = False
            while not done.is_set() or answers.total() < LOAD:
                try:
                    # a connection each, so that a pod that goes away is not kept to
                    answer = session.get(url, timeout=5, headers={"Connection": "close"})
                    said = (
                        answer.json()["commit"]
                        if answer.status_code == 200
                        else f"status {answer.status_code}"
                    )
                except (requests.RequestException, ValueError) as error:
                    said = f"failed: {type(error).__name__}"
                with lock:
                    answers[said] += 1
                time.sleep(0.004)

    commit = project.commit("Roll out under load", "code-only")
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        said = project.clone.push()
        _reached(project, project.run_id(commit), "deploy.plan")
        asking = [pool.submit(ask) for _ in range(SIDE_BY_SIDE)]
        try:
            pushed = project.follow(commit, said)
        finally:
            done.set()
        for one in asking:
            one.result(timeout=300)
    return Rolled(pushed, before, answers)


def test_no_request_fails_while_a_new_version_rolls_out(
    newer: Rolled, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed, answers = newer.pushed, newer.answers
    assert pushed.release.status is Status.PASSED, pushed.release.reason
    with capsys.disabled():
        print(f"\n{sum(answers.values())} requests while it rolled out: {dict(answers)}")
    assert sum(answers.values()) >= LOAD
    assert set(answers) == {newer.before, pushed.commit}, answers
    assert min(answers.values()) > 0
    assert Outcome.PASSED in {one.outcome for one in pushed.release.stages}


def test_a_person_goes_back_and_forth_in_seconds(
    project: Project, good: Release, newer: Rolled, capsys: pytest.CaptureFixture[str]
) -> None:
    took, commits = [], (good.commit, newer.pushed.commit)
    for number in range(3):
        to = commits[number % 2]
        options = ["--to", to[:12]] if number else []  # without one: the last good one before
        done = slipway(project, "rollback", "ai-generation", *options, "--reason", "a test", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        told = json.loads(done.stdout)
        assert told["commit"] == to
        assert project.version()["commit"] == to
        took.append(told["seconds"])
        project.airflow.follow("rollback", told["run_id"], timeout_s=60)  # of its notes, too
    with capsys.disabled():
        print(f"\nrollback by hand, command to healthy: {took} s, median {statistics.median(took)} s")
    left = project.release(newer.pushed.commit)
    assert left.status is Status.ROLLED_BACK
    assert left.rolled_back_to == good.run_id
    assert project.release(good.commit).status is Status.PASSED
    assert project.digests(good.commit)["pods"] == {good.digest}
    dag_id, run = project.service.dag_id, project.run_id(left.commit)
    Airflow(project.sandbox, "admin").clear(dag_id, run, ["report"], downstream=True)
    project.airflow.follow(dag_id, run, timeout_s=300)
    assert project.release(left.commit).status is Status.ROLLED_BACK
    assert project.release(left.commit).reason == left.reason


def test_a_migration_that_nobody_heard_the_end_of_forbids_it_until_it_is_cleared(
    project: Project, newer: Rolled, ledger: Ledger
) -> None:
    """And once it is known that something was taken away, that forbids it."""

    def is_certain() -> bool | None:
        found = [one for one in ledger.changesets("ai-generation", "staging") if name in one.id]
        return found[0].is_certain if found else None

    name = f"doubt-{time.time_ns()}"
    files = project.changesets(name, contract="select pg_sleep(10);")
    commit = project.commit("Take away slowly", files=files)
    project.clone.push()
    dag_id, run, admin = project.service.dag_id, project.run_id(commit), Airflow(project.sandbox, "admin")
    end = time.monotonic() + 300
    while is_certain() is None:
        assert time.monotonic() < end, f"{run} does not begin its contract changeset"
        time.sleep(0.2)
    ended = admin.call("PATCH", f"/api/v2/dags/{dag_id}/dagRuns/{run}", json={"state": "failed"})
    assert ended.status_code == 200, ended.text
    project.airflow.follow(dag_id, run, timeout_s=300)
    assert project.release(commit).status is Status.ERRORED
    assert is_certain() is False
    refused = slipway(project, "rollback", "ai-generation")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert f"{name}.sql::{name}::example (contract) may be applied" in refused.stdout
    assert f"{run} began it" in refused.stdout
    assert project.version()["commit"] == commit
    admin.clear(dag_id, run, ["verify.contract"], downstream=True)
    assert project.airflow.follow(dag_id, run, timeout_s=300) == "success"
    assert is_certain() is True
    assert project.release(commit).status is Status.PASSED

    tasks = project.airflow.tasks(dag_id, run)
    assert tasks["deploy.migrate"]["state"] == "skipped"
    assert tasks["verify.contract"]["state"] == "success"
    assert tasks["verify.health"]["end_date"] < tasks["verify.contract"]["start_date"]
    refused = slipway(project, "rollback", "ai-generation")
    assert refused.returncode == 1, refused.stdout + refused.stderr
    assert f"{name}.sql::{name}::example (contract), applied since by {run}" in refused.stdout
    assert project.version()["commit"] == commit


def test_a_changeset_that_would_break_the_running_version_is_refused_before_anything_changes(
    project: Project, good: Release
) -> None:
    serving = project.version()["commit"]
    name = f"drop-{time.time_ns()}"
    files = project.changesets(name, expand="create index on generations (seed);")
    pushed = project.push("Index a table that is written to", files=files)
    assert (pushed.release.status, pushed.release.stage) == (Status.FAILED, "deploy.pending"), (
        pushed.release.reason
    )
    assert "may lock or break the running version" in str(pushed.release.reason)
    assert f"{name}.sql::{name}::example: require-concurrent-index-creation: " in str(pushed.release.reason)
    assert pushed.release.plan is None
    assert project.version()["commit"] == serving
