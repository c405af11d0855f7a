"""Deliveries of a plain git server, made by its real hook."""

import http.server
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import slipway.intake
from slipway.intake.answers import REFUSED, Code

from .conftest import OTHER, SECRET, Door, by_standard, delivery

HOOK = Path(slipway.intake.__file__).parent / "post-receive"


@pytest.fixture
def server(door: Door) -> Iterator[str]:
    class Front(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = door.take({key.lower(): value for key, value in self.headers.items()}, body)
            self.send_response(answer.status)
            self.end_headers()
            self.wfile.write(json.dumps(answer.show()).encode())

        def log_message(self, *_args: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Front) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}/slipway/hooks/links"
        listening.shutdown()


def push(tmp_path: Path, url: str, pushed: str, secret: str = SECRET) -> str:
    settings = {
        "url": url,
        "secret": secret,
        "repository": "services/links",
        "branch": "main",
        "timeout_s": 2,
    }
    (tmp_path / "slipway-webhook.json").write_text(json.dumps(settings))
    environment = {"PATH": os.environ["PATH"], "GIT_DIR": str(tmp_path), "no_proxy": "*"}
    done = subprocess.run(
        ["python3", HOOK], input=pushed, env=environment, capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


A, B = "a" * 40, "b" * 40


def test_push_is_told_by_the_hook(server: str, door: Door, tmp_path: Path) -> None:
    said = push(tmp_path, server, f"{A} {B} refs/heads/main\n{A} {B} refs/heads/other\n")
    assert said == "slipway: refs/heads/main is looked at, and what it is at is released\n"
    assert [(one.forge, one.told) for one in door.kept] == [("git", B)]


def test_deleted_branch_is_told_and_starts_nothing(server: str, door: Door, tmp_path: Path) -> None:
    assert "was deleted: nothing is released" in push(tmp_path, server, f"{A} {'0' * 40} refs/heads/main\n")
    assert door.kept == []


def test_push_succeeds_whatever_becomes_of_the_delivery(server: str, tmp_path: Path) -> None:
    pushed = f"{A} {B} refs/heads/main\n"
    assert "not taken (401" in push(tmp_path, server, pushed, secret=OTHER)
    assert "was not reached" in push(tmp_path, "http://127.0.0.1:9/slipway/hooks/links", pushed)
    assert "the hook failed" in push(tmp_path, server, pushed, secret="whsec_ä")


@pytest.mark.parametrize("late", [timedelta(minutes=6), timedelta(minutes=-6)])
def test_delivery_of_another_time_is_refused(late: timedelta, door: Door) -> None:
    headers, body = delivery("git-push")
    assert door.take(by_standard(headers, body, SECRET, datetime.now(UTC) - late), body) == REFUSED


def test_same_delivery_gets_the_same_answer(door: Door) -> None:
    headers, body = delivery("git-push")
    signed = by_standard(headers, body, SECRET)
    first, second = door.take(signed, body), door.take(signed, body)
    assert first == second
    assert first.code is Code.ACCEPTED
