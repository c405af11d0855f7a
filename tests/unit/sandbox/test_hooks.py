"""The git hooks as git runs them, where no server is needed."""

import json
import os
import socket
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize(
    "name",
    [
        "feature/refs/heads/main",
        "refs/heads/main",
        f"x\u2028{NONE}\u00a0{COMMIT}\u00a0refs/heads/main",
        "main\u00a0",
        "Main",
    ],
)
def test_branch_whose_name_resembles_the_release_branch_starts_nothing(repository: Path, name: str) -> None:
    done = receive(repository, f"{NONE} {COMMIT} refs/heads/{name}\n")
    assert done.returncode == 0
    assert done.stdout == f"slipway: refs/heads/{name} is ignored: only refs/heads/main is released\n"


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
    assert "DAG `reconcile` starts it within minutes" in done.stdout
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


@pytest.mark.parametrize(
    "reference", ["refs/heads/refs/heads/main", "refs/heads/refs/x", "refs/tags/refs/notes/slipway"]
)
def test_name_that_git_takes_for_another_reference_can_only_be_deleted(
    tmp_path: Path, reference: str
) -> None:
    from slipway_sandbox.parts.git import PUSH_RIGHTS

    (tmp_path / "slipway-rights.json").write_text(json.dumps(PUSH_RIGHTS["services"]))
    environment = {"PATH": os.environ["PATH"], "GIT_DIR": str(tmp_path), "REMOTE_USER": "developer"}
    for new, code in ((COMMIT, 1), (NONE, 0)):
        hook = ["/usr/bin/python3", str(HOOKS / "update"), reference, NONE, new]
        done = subprocess.run(hook, env=environment, capture_output=True, text=True, timeout=15)
        assert done.returncode == code
        assert (f"git takes {reference} for {reference.split('/', 2)[2]}" in done.stderr) == bool(code)


def test_unreadable_rights_refuse_every_push(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "GIT_DIR": str(tmp_path), "REMOTE_USER": "developer"}
    hook = ["/usr/bin/python3", str(HOOKS / "update"), "refs/heads/main", NONE, COMMIT]
    done = subprocess.run(hook, env=environment, capture_output=True, text=True, timeout=15)
    assert done.returncode == 1
    assert "rights cannot be read" in done.stderr


PAUSED = {
    "effect": "waits",
    "what": "DAG `release_ai_generation` is paused in Airflow, and its runs wait until it is not",
    "remedy": "unpause it",
}
HELD = {"effect": "refused", "what": f"commit {COMMIT} is held in staging", "remedy": "let it go"}
MISSING = {
    "effect": "not started",
    "what": "Airflow has no DAG `release_ai_generation` (yet)",
    "remedy": "look",
}


class Airflow(BaseHTTPRequestHandler):
    """Answers the sign-in, Slipway's question and the trigger with what the server was given."""

    server: "Answering"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, body))
        if self.path == "/auth/token":
            status, answer = self.server.token
        elif self.path.startswith("/slipway/"):
            status, answer = self.server.meant
        else:
            status, answer = self.server.trigger
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class Answering(HTTPServer):
    token: tuple[int, dict[str, Any]] = (201, {"access_token": "t"})
    meant: tuple[int, dict[str, Any]]
    trigger: tuple[int, dict[str, Any]]
    asked: list[tuple[str, dict[str, Any]]]


def meant(
    run: str = "ai-generation.0123456789ab", *obstacles: dict[str, str], **known: Any
) -> dict[str, Any]:
    """What Slipway answers: the run that is meant."""
    fixed = {"run_id": run, "is_new": True, "is_repeat": False, "status": None}
    return {**fixed, "obstacles": list(obstacles), **known}


def pushed(
    repository: Path,
    *,
    token: int = 201,
    answer: dict[str, Any] | None = None,
    meant_status: int = 200,
    trigger: int = 200,
) -> tuple[str, list[str]]:
    """Push to an Airflow that answers so; give what was said, and what it was asked."""
    with Answering(("127.0.0.1", 0), Airflow) as server:
        server.asked = []
        server.token = (token, {"access_token": "t"} if token == 201 else {"detail": "Invalid credentials"})
        server.meant = (meant_status, answer or meant())
        server.trigger = (trigger, {"detail": "Invalid input\n\nFailed validating 'pattern' in schema"})
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = json.loads((repository / "slipway-hook.json").read_text())
        settings |= {"airflow_url": f"http://127.0.0.1:{server.server_port}", "password": "hunter2"}
        (repository / "slipway-hook.json").write_text(json.dumps(settings))
        done = receive(repository, f"{NONE} {COMMIT} refs/heads/main\n")
        server.shutdown()
    assert done.returncode == 0
    assert "hunter2" not in done.stdout
    assert "Failed validating" not in done.stdout
    assert ("slipway release ai-generation" in done.stdout) == ("not started" in done.stdout)
    return done.stdout, [path for path, _ in server.asked]


@pytest.mark.parametrize(
    ("token", "trigger", "says"),
    [
        (201, 200, "release ai-generation.0123456789ab started: http://"),
        (201, 409, "release ai-generation.0123456789ab is already known, nothing is started twice: http://"),
        (401, 200, "not started: Airflow refused the hook's account `hook` (401); who runs the git server finds its "
         "password in slipway-hook.json beside this repository."),
        (201, 403, "not started: the hook's account `hook` may not start release_ai_generation."),
        (201, 404, "not started: Airflow has no DAG `release_ai_generation` (yet): look for its import errors in http://"),
        (201, 400, "not started: Airflow answered 400: Invalid input.\n"),
    ],
)  # fmt: skip
def test_each_answer_of_airflow_is_told_in_a_line(
    repository: Path, token: int, trigger: int, says: str
) -> None:
    assert says in pushed(repository, token=token, trigger=trigger)[0]


def test_paused_dag_is_said_and_no_release_is_called_started(repository: Path) -> None:
    said, asked = pushed(repository, answer=meant("ai-generation.0123456789ab", PAUSED))
    assert "release ai-generation.0123456789ab is accepted, and waits: http://" in said
    assert f"slipway: it waits: {PAUSED['what']}: unpause it." in said
    assert " started: " not in said
    assert asked[-1].endswith("/dagRuns")


def test_held_commit_is_said_with_what_lets_it_go(repository: Path) -> None:
    said, _ = pushed(repository, answer=meant("ai-generation.0123456789ab", HELD))
    assert f"slipway: it will be refused: {HELD['what']}: let it go." in said


def test_what_cannot_be_started_is_not_asked_for(repository: Path) -> None:
    said, asked = pushed(repository, answer={**meant("", MISSING), "run_id": None})
    assert "its release is not started: Airflow has no DAG `release_ai_generation` (yet): look." in said
    assert not asked[-1].endswith("/dagRuns")


def test_branch_that_is_moved_back_is_released_again_under_an_id_of_its_own(repository: Path) -> None:
    said, _ = pushed(repository, answer=meant("ai-generation.0123456789ab.r1", is_repeat=True))
    assert "release ai-generation.0123456789ab.r1 started: http://" in said
    assert "0123456789ab was released before, and the branch has moved since: it is released again." in said


def test_release_that_has_begun_is_never_started_anew(repository: Path) -> None:
    # also if Airflow has forgotten its run
    said, asked = pushed(repository, answer=meant(is_new=False, status="rolled_back"))
    assert "is already known, nothing is started twice (rolled back): http://" in said
    assert not asked[-1].endswith("/dagRuns")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (404, "may not release ai-generation, or Airflow at http://"),
        (503, "not started: Slipway answered 503: The ledger does not answer."),
    ],
)
def test_without_slipways_answer_nothing_is_started(repository: Path, status: int, says: str) -> None:
    said, asked = pushed(
        repository, meant_status=status, answer={"detail": "The ledger does not answer\n  more"}
    )
    assert says in said
    assert not asked[-1].endswith("/dagRuns")


def test_push_that_is_told_late_gives_way_to_what_the_branch_is_at(repository: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "-C", str(repository)]
    subprocess.run([*git, "init", "-q", "--bare", "--initial-branch=main", "."], check=True, timeout=15)
    tree = subprocess.run(
        [*git, "mktree"], input="", capture_output=True, text=True, check=True, timeout=15
    ).stdout.strip()
    newer = subprocess.run(
        [*git, "commit-tree", "-m", "newer", tree], capture_output=True, text=True, check=True, timeout=15
    ).stdout.strip()
    subprocess.run([*git, "update-ref", "refs/heads/main", newer], check=True, timeout=15)
    done = receive(repository, f"{NONE} {COMMIT} refs/heads/main\n")
    assert f"refs/heads/main has moved on to {newer[:12]} meanwhile, which is released instead" in done.stdout
    assert "not started" not in done.stdout


def test_settings_that_lack_a_word_are_named(repository: Path) -> None:
    (repository / "slipway-hook.json").write_text('{"branch": "main", "password": "hunter2"}')
    done = receive(repository, f"{NONE} {COMMIT} refs/heads/main\n")
    assert done.returncode == 0
    assert "slipway-hook.json lacks airflow_url, dag_id, service, username" in done.stdout
    assert "hunter2" not in done.stdout
