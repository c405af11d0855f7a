"""A push to a real forge: its delivery starts the release, and the commit shows there how it went."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import text

from e2e import telling
from slipway.ledger import Ledger, deliveries, outbox
from slipway.release import Status, run_id
from slipway.stages import voice
from slipway_sandbox.copies import copy_on_forge
from slipway_sandbox.flood import database
from slipway_sandbox.lifecycle import up
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.forge import Forge
from slipway_sandbox.runs import Airflow, seconds_between

NAME = "forge-library"
CONTEXT = f"slipway/staging/{NAME}"


def shown(forge: Forge, commit: str, name: str = NAME) -> list[tuple[str, str]]:
    """Give what the forge was told of a commit, oldest first, each by context and state."""
    found: list[dict[str, Any]] = forge.call("GET", f"repos/services/{name}/commits/{commit}/statuses")
    return [(one["context"], one["status"]) for one in sorted(found, key=lambda one: one["id"])]


def test_push_to_a_forge_is_released_and_shown_there_once(sandbox: Sandbox, tmp_path: Path) -> None:
    ledger = Ledger((sandbox.layout.credentials / "ledger-url").read_text().strip())
    forge = Forge(sandbox)
    with copy_on_forge(sandbox, NAME, tmp_path) as copy:
        commit = copy.commit("Release by the forge's word")
        pushed_at = time.time()
        copy.clone.push()
        copy.clone.git("push", "origin", f"+{commit}:refs/heads/feature")  # of no interest
        airflow, dag_id, run = Airflow(sandbox), copy.service.dag_id, run_id(NAME, commit)
        assert airflow.follow(dag_id, run, timeout_s=900) == "success"

        record = ledger.record(run)
        assert record
        assert (record.status, record.commit) == (Status.PASSED, commit)
        (heard,) = deliveries.heard(ledger, NAME)
        assert (heard.forge, heard.run_id) == ("gitea", run)
        tasks = airflow.tasks(dag_id, run)
        began = tasks["accept"]["start_date"]
        print(f"delivery to first task: {seconds_between(heard.at.isoformat(), began):.2f} s")
        print(
            f"push to first task: {heard.at.timestamp() - pushed_at + seconds_between(heard.at.isoformat(), began):.2f} s"
        )
        assert shown(forge, commit) == [(CONTEXT, "pending"), (CONTEXT, "success")]
        assert outbox.unsent(ledger, NAME) == 0

        # the last task once more: the same end is said once
        Airflow(sandbox, "admin").clear(dag_id, run, ["report"])
        airflow.follow(dag_id, run, timeout_s=120)
        assert shown(forge, commit) == [(CONTEXT, "pending"), (CONTEXT, "success")]
        (newest,) = forge.call("GET", f"repos/services/{NAME}/commits/{commit}/status")["statuses"]
        assert newest["target_url"] == f"{sandbox.airflow_url}/slipway/runs/{run}"
        assert [one.run_id for one in ledger.releases(NAME, 10) if one.commit == commit] == [run]
    ledger.close()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_who_is_killed_while_it_tells_a_forge_has_told_each_end_once(
    repository: tuple[Forge, dict[str, str]], moment: str
) -> None:
    """By a real forge and a real ledger, in processes that are killed right before or after a status is posted."""
    forge, told = repository
    commit = forge.call(
        "POST", f"repos/{told['repository']}/contents/{uuid.uuid4()}", {"content": "eA==", "message": "x"}
    )["commit"]["sha"]

    def tell(status: Status, moment: str) -> int:
        command = [sys.executable, "-m", "e2e.telling", commit, status.value, moment]
        environment = {**os.environ, "PYTHONPATH": "include:tests"}
        root = Path(__file__).parents[2]
        return subprocess.run(
            command, input=json.dumps(told) + "\n", text=True, cwd=root, env=environment, timeout=60
        ).returncode

    assert tell(Status.RUNNING, "") == 0
    assert tell(Status.PASSED, moment) == -signal.SIGKILL
    world = telling.World(told)
    with world.ledger().transaction() as session:  # the claim of who was killed ends
        session.execute(text("UPDATE outbox SET claimed_until = claimed_until - interval '2 minutes'"))
    tell(Status.PASSED, "")  # the task that was killed, once more
    voice.send(cast("Any", world), world.service)  # and the reconciler
    states = [state for _, state in shown(forge, commit, told["repository"].partition("/")[2])]
    assert states == ["pending", "success"]
    assert outbox.unsent(world.ledger(), telling.RUN) == 0


@pytest.fixture(scope="module")
def repository(sandbox: Sandbox) -> Iterator[tuple[Forge, dict[str, str]]]:
    """The forge, and a repository there with a ledger of its own: what :mod:`e2e.telling` is told."""
    up(sandbox, [Forge.name])
    forge, name = Forge(sandbox), f"telling-{uuid.uuid4().hex[:8]}"
    forge.call("POST", "orgs/services/repos", {"name": name, "auto_init": True, "default_branch": "main"})
    forge.call("PUT", f"repos/services/{name}/collaborators/slipway", {"permission": "write"})
    token = (sandbox.layout.credentials / "forge-token").read_text().strip()
    with database(sandbox, "ledger_telling") as url:
        yield forge, {"ledger": url, "forge": forge.url, "repository": f"services/{name}", "token": token}
    forge.call("DELETE", f"repos/services/{name}")
