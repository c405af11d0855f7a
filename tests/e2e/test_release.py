"""One push goes all the way; what does not change is skipped; a bad push changes nothing."""

from __future__ import annotations

import re

from e2e.story import Failing, Migrated, Unheard
from slipway.release import Outcome, Status
from slipway.stages.sequence import release_of
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.project import Project, Pushed
from slipway_sandbox.runs import Airflow

BRANCHES = {"deploy.infra_check", "deploy.infra", "deploy.migrate", "verify.contract", "rollback"}


def outcomes(pushed: Pushed) -> dict[str, str]:
    return {one.name: one.outcome for one in pushed.release.stages}


def test_push_is_released_healthy_and_reported(project: Project, migrated: Migrated) -> None:
    first, look = migrated.pushed, migrated.look
    assert first.state == "success", first.release.reason
    assert first.release.status == Status.PASSED
    assert f"release {project.run_id(first.commit)} started" in first.said
    # which of these were needed depends on what was there before: a gate that had passed already does not run again
    had_passed = {name for name, outcome in outcomes(first).items() if outcome is Outcome.PASSED}
    unneeded = release_of(project.service).unneeded(had_passed) | {"dependencies"}
    not_passed = {name: state for name, state in first.states.items() if state != "success"}
    assert set(not_passed) <= BRANCHES | unneeded, not_passed
    assert set(not_passed.values()) <= {"skipped"}
    assert len(set.union(*look.digests.values())) == 1, look.digests
    assert look.version["commit"] == first.commit
    assert look.note is not None
    assert look.note.startswith("slipway: passed")
    assert str(first.release.digest) in look.note
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
    other = f"feature/{first.commit[:12]}"  # of its own: what earlier sessions left there may be anything
    assert f"refs/heads/{other} is ignored" in project.clone.push(other)


def test_push_of_code_alone_skips_migrations_and_infrastructure(first: Pushed, unheard: Unheard) -> None:
    """What else is in the namespace is no affair of it."""
    pushed = unheard.pushed
    assert pushed.state == "success", pushed.release.reason
    assert {name for name, state in pushed.states.items() if state == "skipped"} == BRANCHES
    assert {
        name: str(found) for name, found in outcomes(pushed).items() if name in BRANCHES
    } == dict.fromkeys(BRANCHES, "skipped")
    assert pushed.release.schema_revision == first.release.schema_revision
    assert unheard.look.version["commit"] == pushed.commit


def test_branch_that_is_moved_back_by_force_is_released_again_and_waits_while_the_dag_is_paused(
    project: Project, first: Pushed, unheard: Unheard
) -> None:
    dag_id, head = project.service.dag_id, project.clone.head()
    if project.version()["commit"] != head or head == first.commit:
        head = project.push("Go forward").commit
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


def test_push_with_a_changeset_migrates_before_the_rollout(sandbox: Sandbox, migrated: Migrated) -> None:
    pushed, name = migrated.pushed, migrated.changeset
    assert pushed.state == "success", pushed.release.reason
    assert pushed.states["deploy.migrate"] == "success"
    assert pushed.tasks["deploy.migrate"]["end_date"] < pushed.tasks["deploy.apply"]["start_date"]
    assert name in str(pushed.release.schema_revision)
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
    first: Pushed, failing: Failing, unheard: Unheard
) -> None:
    bad, look = failing.pushed, failing.look
    assert bad.state == "failed"
    assert (bad.release.status, bad.release.stage) == (Status.FAILED, "test.unit")
    assert bad.release.code == "gate.failed"
    assert bad.release.reason is not None
    assert "test_text_always_ends_with_its_sentence" in bad.release.reason
    assert bad.tasks["test.unit"]["try_number"] == 1  # the verdict stands: no retry
    assert bad.release.digest is None
    assert look.digests["registry"] == {"none (404)"}
    assert look.version["commit"] == first.commit
    assert look.note is not None
    assert look.note.startswith("slipway: failed")
    assert "stage: test.unit\ncode: gate.failed\n" in look.note
    assert outcomes(bad)["report"] == Outcome.PASSED
    assert not failing.held

    good = unheard.pushed
    assert good.state == "success", good.release.reason
    assert unheard.look.version["commit"] == good.commit
