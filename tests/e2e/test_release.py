"""One push goes all the way; what does not change is skipped; a bad push changes nothing."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from kubernetes import client
from slipway.release import Outcome, Status
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.project import Project, Pushed
from slipway_sandbox.runs import Airflow

BRANCHES = {"deploy.infra_check", "deploy.infra", "deploy.migrate", "verify.contract", "rollback"}


def outcomes(pushed: Pushed) -> dict[str, str]:
    return {one.name: one.outcome for one in pushed.release.stages}


def test_push_is_released_healthy_and_reported(project: Project) -> None:
    first = project.push("Release the example, and look at what serves now")
    assert first.state == "success", first.release.reason
    assert first.release.status == Status.PASSED
    assert f"release {project.run_id(first.commit)} started" in first.said
    not_passed = {name: state for name, state in first.states.items() if state != "success"}
    assert set(not_passed) <= BRANCHES, (
        not_passed
    )  # whether those were needed depends on what was there before
    assert set(not_passed.values()) <= {"skipped"}
    found = project.digests(first.commit)
    assert len(set.union(*found.values())) == 1, found
    assert project.version()["commit"] == first.commit
    note = project.clone.note(first.commit)
    assert note is not None
    assert note.startswith("slipway: passed")
    assert str(first.release.digest) in note
    assert None not in (first.release.digest, first.release.config_revision, first.release.schema_revision)


def test_release_is_an_asset_event(project: Project, first: Pushed) -> None:
    events = project.airflow.call(
        "GET", f"/api/v2/assets/events?source_run_id={project.run_id(first.commit)}"
    ).json()
    assert [event["extra"]["commit"] for event in events["asset_events"]] == [first.commit]
    assert events["asset_events"][0]["extra"]["digest"] == first.release.digest


def test_repeat_of_a_push_starts_nothing_twice(project: Project, first: Pushed) -> None:
    head = project.clone.head()
    tasks = project.airflow.tasks(project.service.dag_id, project.run_id(head))
    assert "was deleted: nothing is released" in project.clone.git("push", "origin", ":refs/heads/main")
    said = project.clone.git("push", "origin", f"{head}:refs/heads/main")
    assert f"release {project.run_id(head)} is already known, nothing is started twice (passed)" in said
    assert project.airflow.tasks(project.service.dag_id, project.run_id(head)) == tasks


def test_push_to_another_branch_is_ignored_and_says_so(project: Project, first: Pushed) -> None:
    said = project.clone.push("feature/other")
    assert "refs/heads/feature/other is ignored" in said


@contextmanager
def bystanders(project: Project) -> Iterator[None]:
    """Have a pod that has ended, and a Deployment whose image is another, under the labels of the service's own pods."""
    plan, api = project.service.deploy, project.cluster()
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    served = apps.read_namespaced_deployment(plan.deployment, plan.namespace)
    labels, name = served.spec.selector.match_labels, f"{plan.deployment}-bystander"
    pod = {
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": "registry-pull"}],
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "app",
                "image": served.spec.template.spec.containers[0].image,
                "command": ["sleep", "infinity"],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "100m", "memory": "32Mi"},
                },
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
    ended = {
        **pod,
        "restartPolicy": "Never",
        "containers": [{**pod["containers"][0], "command": ["/bin/false"]}],
    }
    own = {**labels, "role": "worker"}
    template = {"metadata": {"labels": own}, "spec": pod}
    worker = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": own}, "template": template}}
    core.create_namespaced_pod(plan.namespace, {"metadata": {"name": name, "labels": labels}, "spec": ended})
    try:
        apps.create_namespaced_deployment(plan.namespace, worker)
        yield
        assert core.read_namespaced_pod(name, plan.namespace).status.phase == "Failed"
        assert apps.read_namespaced_deployment(name, plan.namespace).status.replicas == 1
    finally:
        core.delete_namespaced_pod(name, plan.namespace)
        with suppress(client.ApiException):
            apps.delete_namespaced_deployment(name, plan.namespace, propagation_policy="Background")


def test_push_of_code_alone_skips_migrations_and_infrastructure(project: Project, first: Pushed) -> None:
    with bystanders(project):  # which are no affair of the release's
        pushed = project.push("Change only code", "code-only")
    assert pushed.state == "success", pushed.release.reason
    assert {name for name, state in pushed.states.items() if state == "skipped"} == BRANCHES
    assert {
        name: str(found) for name, found in outcomes(pushed).items() if name in BRANCHES
    } == dict.fromkeys(BRANCHES, "skipped")
    assert pushed.release.schema_revision == first.release.schema_revision
    assert project.version()["commit"] == pushed.commit


def test_branch_that_is_moved_back_by_force_is_released_again_and_waits_while_the_dag_is_paused(
    project: Project, first: Pushed
) -> None:
    if project.clone.head() == first.commit:
        project.push("Go forward")
    dag_id, head = project.service.dag_id, project.clone.head()
    assert project.version()["commit"] == head
    with project.unheard():
        project.clone.git("push", "--force", "origin", f"{first.commit}:refs/heads/main")
    assert project.reconcile() == "success"  # a push back that nobody heard of is found, too
    runs = [project.wanted(first.commit)]
    admin, dag = Airflow(project.sandbox, "admin"), f"/api/v2/dags/{dag_id}"
    admin.call("PATCH", dag, json={"is_paused": True}).raise_for_status()
    try:
        for commit in (head, first.commit):
            said = project.clone.git("push", "--force", "origin", f"{commit}:refs/heads/main")
            accepted = re.search(r"release (\S+) is accepted, and waits: http", said)
            assert accepted, said
            runs.append(accepted[1])
            assert f"it waits: DAG `{dag_id}` is paused in Airflow" in said
            assert f"{commit[:12]} was released before, and the branch has moved since" in said
        assert project.reconcile() == "skipped"
    finally:
        admin.call("PATCH", dag, json={"is_paused": False}).raise_for_status()
    assert len({*runs, project.run_id(first.commit), project.run_id(head)}) == 5
    assert [project.airflow.follow(dag_id, one, timeout_s=600) for one in runs] == ["success"] * 3
    assert project.version()["commit"] == first.commit
    newest = project.release(first.commit)
    assert (newest.run_id, newest.status) == (runs[-1], Status.PASSED)
    assert project.reconcile() == "skipped"


def test_push_with_a_changeset_migrates_before_the_rollout(
    project: Project, first: Pushed, sandbox: Sandbox
) -> None:
    # one that no database has yet, whatever ran on this sandbox before
    name = f"e2e-{time.time_ns()}"
    changelog = (
        project.examples / "ai-generation-scenarios/new-changeset/migrations/changelog.yaml"
    ).read_text()
    files = {
        "migrations/changelog.yaml": f"{changelog}  - include: {{file: changesets/{name}.sql, relativeToChangelogFile: true}}\n",
        f"migrations/changesets/{name}.sql": f"--liquibase formatted sql logicalFilePath:{name}.sql\n"
        f"--changeset e2e:{name} labels:expand\ncomment on table generations is '{name}';\n--rollback empty\n"
        f'--changeset e2e:{name}-made-up labels:expand context:test\ncreate table "{name}" (id bigint);\n--rollback empty\n',
    }
    pushed = project.push("Add a changeset", "new-changeset", files=files)
    assert pushed.state == "success", pushed.release.reason
    assert pushed.states["deploy.migrate"] == "success"
    assert pushed.states["deploy.infra"] == "skipped"
    assert pushed.tasks["deploy.migrate"]["end_date"] < pushed.tasks["deploy.apply"]["start_date"]
    assert name in str(pushed.release.schema_revision)
    assert pushed.release.schema_revision_before == first.release.schema_revision
    # it did what it had planned, which was recorded before
    assert [one["id"].split("::")[1] for one in pushed.release.plan["changesets"]][-1:] == [name]
    assert pushed.release.plan_hash == pushed.release.plan["hash"]
    # what is made up for the throwaway databases is left out here, and the plan says so
    made_up = {
        "id": f"{name}.sql::{name}-made-up::e2e",
        "why": "its context is `test`, and `staging` holds here",
    }
    assert made_up in pushed.release.plan["left_out"]
    connection = Postgres(sandbox).connect("ai_generation")
    try:
        with connection.cursor() as cursor:
            cursor.execute("select relname from pg_class where relname = %s", [name])
            assert cursor.fetchall() == []
    finally:
        connection.close()
    assert pushed.tasks["deploy.plan"]["end_date"] < pushed.tasks["deploy.migrate"]["start_date"]


def test_push_with_a_failing_test_changes_nothing_and_the_next_good_one_passes(
    project: Project, first: Pushed
) -> None:
    serving = project.version()["commit"]
    bad = project.push("Break a unit test", "failing-test")
    assert bad.state == "failed"
    assert (bad.release.status, bad.release.stage) == (Status.FAILED, "test.unit")
    assert bad.release.code == "gate.failed"
    assert bad.release.reason is not None
    assert "test_text_always_ends_with_its_sentence" in bad.release.reason
    assert bad.tasks["test.unit"]["try_number"] == 1  # the verdict stands: no retry
    assert bad.release.digest is None
    assert project.digests(bad.commit)["registry"] == {"none (404)"}
    assert project.version()["commit"] == serving
    note = project.clone.note(bad.commit)
    assert note is not None
    assert note.startswith("slipway: failed")
    assert "stage: test.unit\ncode: gate.failed\n" in note
    assert outcomes(bad)["report"] == Outcome.PASSED

    good = project.push("Mend it")
    assert good.state == "success", good.release.reason
    assert project.version()["commit"] == good.commit
