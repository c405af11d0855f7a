"""The git hooks as git runs them, where no server is needed."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

HOOKS = Path(__file__).parents[3] / "sandbox/hooks"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NONE = "0" * 40


def receive(repository: Path, lines: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "GIT_DIR": str(repository)}
    hook = ["/usr/bin/python3", str(HOOKS / "post-receive")]
    return subprocess.run(hook, input=lines, env=environment, capture_output=True, text=True, timeout=15)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "airflow_url": f"http://127.0.0.1:{port}", "username": "hook", "password": "x",
        "service": "ai-generation", "branch": "main", "dag_id": "release_ai_generation", "timeout_s": 1.0,
    }  # fmt: skip
    (tmp_path / "slipway-hook.json").write_text(json.dumps(settings))
    return tmp_path


def test_other_branches_and_tags_are_said_to_be_ignored(repository: Path) -> None:
    done = receive(repository, f"{NONE} {COMMIT} refs/heads/feature\n{NONE} {COMMIT} refs/tags/v1\n")
    assert done.returncode == 0
    assert "refs/heads/feature is ignored: only refs/heads/main is released" in done.stdout
    assert "refs/tags/v1 is ignored" in done.stdout


def test_deleting_the_branch_releases_nothing_and_says_so(repository: Path) -> None:
    done = receive(repository, f"{COMMIT} {NONE} refs/heads/main\n")
    assert done.returncode == 0
    assert "was deleted: nothing is released" in done.stdout


def test_notes_are_nobodys_business(repository: Path) -> None:
    assert receive(repository, f"{NONE} {COMMIT} refs/notes/slipway\n").stdout == ""


def test_push_succeeds_when_airflow_is_down_and_says_what_will_happen(repository: Path) -> None:
    done = receive(repository, f"{NONE} {COMMIT} refs/heads/main\n")
    assert done.returncode == 0
    assert "the push is accepted, but its release is not started" in done.stdout
    assert f"slipway release ai-generation {COMMIT}" in done.stdout


def test_airflow_that_never_answers_does_not_hold_the_push(repository: Path) -> None:
    settings = json.loads((repository / "slipway-hook.json").read_text())
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        settings["airflow_url"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
        (repository / "slipway-hook.json").write_text(json.dumps(settings))
        start = time.monotonic()
        done = receive(repository, f"{NONE} {COMMIT} refs/heads/main\n")
        assert time.monotonic() - start < 5
    assert done.returncode == 0
    assert "the push is accepted" in done.stdout


def test_unreadable_settings_do_not_make_the_push_look_refused(repository: Path) -> None:
    (repository / "slipway-hook.json").write_text("{")
    done = receive(repository, f"{NONE} {COMMIT} refs/heads/main\n")
    assert done.returncode == 0
    assert "the push is accepted, but its release is not started: the hook failed" in done.stdout


@pytest.mark.parametrize(
    ("account", "reference", "allowed"),
    [
        ("developer", "refs/heads/main", True),
        ("developer", "refs/notes/slipway", False),
        ("slipway", "refs/notes/slipway", True),
        ("slipway", "refs/heads/main", False),
        ("config-editor", "refs/heads/main", False),
        ("", "refs/heads/main", False),
    ],
)
def test_account_may_push_only_its_own_references(
    tmp_path: Path, account: str, reference: str, allowed: bool
) -> None:
    from slipway_sandbox.parts.git import PUSH_RIGHTS

    (tmp_path / "slipway-rights.json").write_text(json.dumps(PUSH_RIGHTS["services"]))
    environment = {"PATH": os.environ["PATH"], "GIT_DIR": str(tmp_path), "REMOTE_USER": account}
    hook = ["/usr/bin/python3", str(HOOKS / "update"), reference, NONE, COMMIT]
    done = subprocess.run(hook, env=environment, capture_output=True, text=True, timeout=15)
    assert (done.returncode == 0) == allowed
    assert allowed or f"not {reference}" in done.stderr


def test_unreadable_rights_refuse_every_push(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "GIT_DIR": str(tmp_path), "REMOTE_USER": "developer"}
    hook = ["/usr/bin/python3", str(HOOKS / "update"), "refs/heads/main", NONE, COMMIT]
    done = subprocess.run(hook, env=environment, capture_output=True, text=True, timeout=15)
    assert done.returncode == 1
    assert "rights cannot be read" in done.stderr


def test_settings_that_lack_a_word_are_named(repository: Path) -> None:
    (repository / "slipway-hook.json").write_text('{"branch": "main", "password": "hunter2"}')
    done = receive(repository, f"{NONE} {COMMIT} refs/heads/main\n")
    assert done.returncode == 0
    assert "slipway-hook.json lacks airflow_url, dag_id, service, username" in done.stdout
    assert "hunter2" not in done.stdout
