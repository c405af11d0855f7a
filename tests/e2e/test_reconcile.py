"""A push that nobody heard of is released all the same, and once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from slipway.release import Status
from slipway_sandbox.developer import Developer
from slipway_sandbox.project import Project, Pushed
from slipway_sandbox.run import run

STRAY = "refs/heads/feature/refs/heads/main"
"""A branch that anybody may push, whose full name ends as the release branch's; it comes first in a list of refs."""


@contextmanager
def stray(clone: Developer) -> Iterator[str]:
    """Push a commit, that nobody has reviewed, to such a branch; give it. The branch is deleted in the end."""
    commit = clone.git("commit-tree", "-p", "HEAD", "-m", "Not meant for main", "HEAD^{tree}")
    clone.git("push", "--quiet", "origin", f"{commit}:{STRAY}")
    try:
        yield commit
    finally:
        clone.git("push", "--quiet", "origin", f":{STRAY}")


def test_push_that_nobody_heard_of_is_found_and_released_once(project: Project, first: Pushed) -> None:
    """And of what is pushed beside the release branch, under a name that git takes for its own, nothing is."""
    config = Developer(
        project.sandbox,
        project.service.config.repository,
        project.folder.with_name("config"),
        "config-editor",
    )
    config.clone()
    with ExitStack() as strays:
        unreviewed = [strays.enter_context(stray(clone)) for clone in (project.clone, config)]
        released_once(project, config.head(), unreviewed)


def released_once(project: Project, revision: str, unreviewed: list[str]) -> None:
    assert project.reconcile() == "skipped"
    assert project.airflow.run(project.service.dag_id, project.run_id(unreviewed[0])) is None
    commit = project.commit("Push while the hook has a wrong password")
    with project.unheard():
        said = project.clone.push()
    assert "the push is accepted, but its release is not started" in said
    assert project.airflow.run(project.service.dag_id, project.run_id(commit)) is None
    assert project.reconcile() == "success"
    pushed = project.follow(commit, said)
    assert (pushed.state, pushed.release.status) == ("success", Status.PASSED), pushed.release.reason
    assert project.version()["commit"] == commit
    assert pushed.release.config_revision == revision
    assert project.reconcile() == "skipped"
    assert project.airflow.run(project.service.dag_id, f"{project.run_id(commit)}.r1") is None
    layout = project.sandbox.layout
    asked = run(
        [layout.bin / "slipway", "release", project.name, "--json"],
        what="slipway",
        env={"SLIPWAY_STATE": str(layout.state), "SLIPWAY_CACHE": str(layout.cache)},
        timeout_s=60,
    )
    told = json.loads(asked.stdout)
    assert (told["commit"], told["started"]) == (commit, False)
