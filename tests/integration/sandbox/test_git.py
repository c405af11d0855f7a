"""The git server: who may read and push what, and what the push hook says and does."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from slipway_sandbox.part import Part
from slipway_sandbox.parts.airflow import Airflow
from slipway_sandbox.parts.git import Git as Server

Url = Callable[[str], str]
Git = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def server(parts: dict[str, Part]) -> Server:
    found = parts["git"]
    assert isinstance(found, Server)
    return found


@pytest.fixture
def repository(server: Server) -> Iterator[str]:
    """A service repository of its own, set up as the catalog's are."""
    name = f"services/trial-{uuid.uuid4().hex[:8]}"
    server._repository(name)
    server._trigger(name, "trial", "main", "release_trial")
    yield name
    shutil.rmtree(server.repositories / f"{name}.git")


@pytest.fixture
def url(server: Server, repository: str, password: Callable[[str], str]) -> Url:
    base = server.sandbox.git_url.removeprefix("http://")
    return lambda account: f"http://{account}:{password(f'git-{account}')}@{base}/{repository}.git"


def test_nobody_reads_without_a_password(git: Git, server: Server, repository: str) -> None:
    for login in ("", "developer:wrong@"):
        base = server.sandbox.git_url.replace("http://", f"http://{login}")
        done = git(
            "-c", "credential.helper=", "-c", "core.askPass=true", "ls-remote", f"{base}/{repository}.git"
        )
        assert done.returncode != 0


def test_developer_pushes_branches_but_not_slipways_notes(git: Git, url: Url) -> None:
    assert git("push", url("developer"), "main").returncode == 0
    refused = git("push", url("developer"), "main:refs/notes/slipway")
    assert refused.returncode != 0
    assert "refused: developer may push refs/heads/*, refs/tags/*" in refused.stderr


def test_slipway_reads_everything_and_pushes_notes_only(git: Git, url: Url) -> None:
    git("push", url("developer"), "main")
    refused = git("push", url("slipway"), "main:refs/heads/other")
    assert refused.returncode != 0
    assert "slipway may push refs/notes/*" in refused.stderr
    git("notes", "--ref", "slipway", "add", "--message", "released")
    assert git("push", url("slipway"), "refs/notes/slipway").returncode == 0
    assert "refs/notes/slipway" in git("ls-remote", url("slipway")).stdout


def test_editor_of_the_configuration_may_not_push_source(git: Git, url: Url) -> None:
    refused = git("push", url("config-editor"), "main")
    assert refused.returncode != 0
    assert "config-editor may only read here" in refused.stderr


def test_push_to_another_branch_says_that_it_is_ignored(git: Git, url: Url) -> None:
    done = git("push", url("developer"), "main:feature")
    assert done.returncode == 0
    assert "refs/heads/feature is ignored: only refs/heads/main is released" in done.stderr


def test_push_is_accepted_when_airflow_does_not_know_the_release(git: Git, url: Url) -> None:
    done = git("push", url("developer"), "main")
    assert done.returncode == 0
    assert (
        "the push is accepted, but its release is not started: Airflow has no DAG `release_trial`"
        in done.stderr
    )


def test_push_is_accepted_and_soon_when_airflow_is_down(
    git: Git, url: Url, server: Server, repository: str, parts: dict[str, Part]
) -> None:
    file = server.repositories / f"{repository}.git/slipway-hook.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "airflow_url": "http://127.0.0.1:9"}))
    done = git("push", url("developer"), "main")
    assert done.returncode == 0
    assert "cannot be reached" in done.stderr
    assert "slipway release trial" in done.stderr


def test_hooks_account_may_start_runs_but_not_see_or_change_connections(parts: dict[str, Part]) -> None:
    airflow = parts["airflow"]
    assert isinstance(airflow, Airflow)
    from slipway_sandbox.local_http import session

    headers = {"Authorization": f"Bearer {airflow.token('hook')}"}
    base = f"{airflow.sandbox.airflow_url}/api/v2"
    http = session()
    assert http.get(f"{base}/dags", headers=headers, timeout=20).status_code == 200
    for path in ("connections", "variables", "config"):
        assert http.get(f"{base}/{path}", headers=headers, timeout=20).status_code == 403
    assert http.delete(f"{base}/pools/slipway_engine", headers=headers, timeout=20).status_code == 403


def test_hooks_password_is_for_the_git_servers_user_only(server: Server, repository: str) -> None:
    file = server.repositories / f"{repository}.git/slipway-hook.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (server.repositories / f"{repository}.git/hooks/update").stat().st_uid == 0


def test_example_is_there_without_a_release_and_anybody_goes_on_from_it(
    git: Git, server: Server, password: Callable[[str], str], tmp_path: Path
) -> None:
    name = f"services/trial-{uuid.uuid4().hex[:8]}"
    server._repository(name, server.layout.checkout / "examples/prompt-library")
    server._trigger(name, "trial", "main", "release_trial")
    try:
        base = server.sandbox.git_url.removeprefix("http://")
        url = f"http://developer:{password('git-developer')}@{base}/{name}.git"
        assert git("pull", "--quiet", "--rebase", url, "main").returncode == 0
        assert (tmp_path / "db/migration/works-from").is_file()
        # its first push: only now is anything released
        git("commit", "--quiet", "--allow-empty", "--message", "Second")
        done = git("push", url, "main")
        assert done.returncode == 0, done.stderr
        assert "Airflow has no DAG `release_trial`" in done.stderr
    finally:
        shutil.rmtree(server.repositories / f"{name}.git")
