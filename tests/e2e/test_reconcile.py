"""A push that nobody heard of is released all the same, and once."""

from __future__ import annotations

from slipway.release import Status
from slipway_sandbox.project import Project, Pushed


def test_push_that_nobody_heard_of_is_found_and_released_once(project: Project, first: Pushed) -> None:
    assert project.reconcile() == "skipped"
    commit = project.commit("Push while the hook has a wrong password")
    with project.unheard():
        said = project.clone.push()
    assert "the push is accepted, but its release is not started" in said
    assert project.airflow.run(project.service.dag_id, project.run_id(commit)) is None
    assert project.reconcile() == "success"
    pushed = project.follow(commit, said)
    assert (pushed.state, pushed.release.status) == ("success", Status.PASSED), pushed.release.reason
    assert project.version()["commit"] == commit
    assert project.reconcile() == "skipped"
    assert project.airflow.run(project.service.dag_id, f"{project.run_id(commit)}.r1") is None
