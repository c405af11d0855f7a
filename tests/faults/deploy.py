"""Each task of a release disturbed in its middle: whatever is killed or restarted, the release converges.

A release that has something to do in every task (a changeset of each phase, a new playbook) meets one kind of disturbance
once in each of them: `kill -9` in all that there are, the others in the deploy half. The matrix has a row for each task and a
column for each kind.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from faults import platform, resume
from faults.case import Case, Seen, Wanted
from faults.resume import changes, changeset, unique, unlike, usual_seconds, world
from faults.scene import Scene
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.runs import ENDED, Airflow

SECTION = "deploy"
TASKS = (
    "lane", "deploy.config", "deploy.infra_changed", "deploy.infra_check", "deploy.pending", "deploy.plan", "deploy.infra",
    "deploy.migrations", "deploy.migrate", "deploy.secrets", "deploy.apply", "deploy.rollout",
    "verify.smoke", "verify.health", "verify.prune", "verify.migrations", "verify.contract", "unlane", "report",
)  # fmt: skip
PODS = (
    "asked",
    "deploy.infra_check",
    "deploy.infra",
    "deploy.migrate",
    "verify.smoke",
    "verify.contract",
)
"""Tasks that run a pod; of the rollout and the health a serving pod is killed."""
SERVING = ("deploy.rollout", "verify.health")
OF_EACH_KIND = (
    "checkout", "build.lint", "image.build", "image.push", "lane", "deploy.infra", "deploy.migrate",
    "deploy.secrets", "deploy.apply", "deploy.rollout", "verify.smoke", "verify.contract", "report",
)  # fmt: skip
"""Of the tasks that change something, and of the others one of each kind: what `make test` kills."""
ROUNDS = 6
"""Times that tasks which ended before they could be disturbed are cleared, to meet it then."""

Disturbs = Callable[[Scene, str, str], bool]
"""Disturb a task of a run; tell whether it met it."""


def _process(scene: Scene, run: str, task: str) -> bool:
    pid = Airflow(scene.sandbox).tasks(scene.dag_id, run)[task]["pid"]
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, TypeError):  # it was quicker
        return False
    return True


def _pod(scene: Scene, run: str, task: str) -> bool:
    from kubernetes import client

    core, plan = client.CoreV1Api(scene.project.cluster()), scene.project.service.deploy
    selector = f"run_id={run},task_id={task}" if task in PODS else "app.kubernetes.io/name=ai-generation"
    for pod in core.list_namespaced_pod(plan.namespace, label_selector=selector).items:
        if pod.metadata.deletion_timestamp is None and pod.status.phase in ("Pending", "Running"):
            with suppress(client.ApiException):
                core.delete_namespaced_pod(pod.metadata.name, plan.namespace, grace_period_seconds=0)
                return True
    return False


def restarted(fault: platform.Fault, away_s: float = 1) -> Disturbs:
    """Give what takes a part away for a moment."""

    def disturb(scene: Scene, run: str, task: str) -> bool:
        with fault(scene):
            time.sleep(away_s)
        return True

    return disturb


def _scheduler(scene: Scene, run: str, task: str) -> bool:
    platform.killed_scheduler(scene, run)
    return True


def _api_server(scene: Scene, run: str, task: str) -> bool:
    # killed: asked to end, it keeps its watchers for ten seconds, and several tasks' restarts would make one long absence
    platform.killed(scene, "kubernetes", "k8s-kube-apiserver")
    return True


def disturbed(
    name: str, disturb: Disturbs, tasks: Iterable[str], *, again: bool = False
) -> Callable[[Scene], Seen]:
    """Give the act that disturbs each task once in the middle of one release, and sees that it converges.

    :param again: whether only those count that had to be tried again: not one that had just said that it is done.
    """
    tasks = tuple(tasks)

    def act(scene: Scene) -> Seen:
        usual = usual_seconds(scene)
        start = time.monotonic()
        files = {**changeset(scene), **unique(name.replace("-", "_"))}
        playbook = "infra/site.yaml"
        text = (scene.project.examples / "ai-generation-config" / playbook).read_text()
        with scene.configured({playbook: f"{text}# {time.time_ns()}\n"}):
            run = scene.start(f"Change everything: {name}", files=files)
            met = _in_the_middle(scene, run, usual, tasks, disturb, again)
        for _ in range(ROUNDS):
            missed = [task for task in tasks if task not in met]
            if not missed or scene.record(run).status != "passed":
                break
            scene.clear(run, missed)
            met |= _in_the_middle(scene, run, {}, missed, disturb, again)
        seen = scene.wait(run)
        notes = [f"{task} was not disturbed before it was done" for task in tasks if task not in met]
        notes += unlike(world(scene, scene.record(run).commit), scene.record(run).commit)
        told = f"{len(met)} tasks disturbed once each: {', '.join(task for task in tasks if task in met)}"
        return dataclasses.replace(
            seen, message=seen.message or told, replaced=False, notes=(*seen.notes, *notes), attempts=1,
            met=tuple(task for task in tasks if task in met), seconds=time.monotonic() - start,
        )  # fmt: skip

    return act


def _in_the_middle(
    scene: Scene, run: str, usual: dict[str, float], tasks: Iterable[str], disturb: Disturbs, again: bool
) -> set[str]:
    """Disturb each task once when half of what it usually takes is over; give those that met it."""
    airflow, seen, met, wanted = Airflow(scene.sandbox), dict[str, float](), dict[str, int](), set(tasks)
    end = time.monotonic() + 1200
    while time.monotonic() < end:
        found = airflow.tasks(scene.dag_id, run)
        for name in wanted - met.keys():
            task = found.get(name, {})
            if task.get("state") != "running" or not task["pid"]:
                continue
            began = seen.setdefault(name, time.monotonic())
            if time.monotonic() - began >= usual.get(name, 0) / 2 and disturb(scene, run, name):
                met[name] = task["try_number"]
        state = (airflow.run(scene.dag_id, run) or {}).get("state")
        if state in ("success", "failed") and all(one["state"] in ENDED for one in found.values()):
            return {one for one, tries in met.items() if not again or found[one]["try_number"] > tries}
        time.sleep(0.1)
    raise SandboxError(f"{run} has not ended after 1200 s")


def cleared_when_rolled_back(downstream: bool) -> Callable[[Scene], Seen]:
    """Give the act that clears each task of a rolled-back run, one after the other: that must bring nothing back."""

    def act(scene: Scene) -> Seen:
        scene.good()
        start = time.monotonic()
        line = 'expect("status of GET /version", status, 200)'
        smoke = scene.example("smoke/smoke.py")
        assert line in smoke, f"the example's smoke test has no {line!r} any more"
        files = {"smoke/smoke.py": smoke.replace(line, line.replace("200", "201")), **changeset(scene)}
        seen = scene.push("Fail the smoke test, to be rolled back", files=files)
        run, commit = seen.run_id, scene.record(seen.run_id).commit
        before, met, notes = (_told(scene, run), world(scene, commit)), list[str](), list[str]()
        for task in resume.TASKS:
            scene.clear(run, [task], downstream=downstream)
            again = scene.wait(run)
            told, after = _told(scene, run), world(scene, commit)
            found = [*changes(before[1], after), *([f"{told} events"] if told != before[0] else [])]
            if again.outcome != "rolled_back" or again.held:
                found.append(f"it {again.outcome} at {again.stage}: {again.first_line} {again.held or ''}")
            notes += [f"{task} cleared: {one}" for one in found]
            met += [] if found else [task]
            before = (told, after)  # what one changed is not the next one's
        return dataclasses.replace(
            seen, notes=(*seen.notes, *notes), met=tuple(met), seconds=time.monotonic() - start
        )

    return act


def _told(scene: Scene, run: str) -> int:
    """Give how many asset events a run has sent."""
    answer = Airflow(scene.sandbox).call("GET", f"/api/v2/assets/events?source_run_id={run}")
    return int(answer.json()["total_entries"])


DISTURBANCES: dict[str, tuple[str, Disturbs, tuple[str, ...]]] = {
    "kill-process": (
        "kill -9 of the task's process",
        _process,
        tuple(task for task in resume.TASKS if task not in resume.IDLE),
    ),
    "kill-one-of-each-kind": ("kill -9 of the task's process", _process, OF_EACH_KIND),
    "kill-pod": ("its pod is killed; of rollout and health a serving one", _pod, (*PODS, *SERVING)),
    "restart-scheduler": ("Airflow's scheduler is killed", _scheduler, TASKS),
    "restart-postgres": (
        "Postgres, of Airflow, ledger and service, restarts",
        restarted(platform.stopped("postgres", "postgres")),
        TASKS,
    ),
    "seal-vault": ("Vault is sealed, and unsealed again", restarted(platform.sealed), TASKS),
    "restart-registry": (
        "the registry restarts",
        restarted(platform.stopped("registry", "registry", "registry-nginx")),
        TASKS,
    ),
    "restart-api-server": ("the API server is killed, and comes back", _api_server, TASKS),
}

CASES: tuple[Case, ...] = tuple(
    Case(
        f"deploy-{name}",
        SECTION,
        f"{title}, once in each task" if tasks is not OF_EACH_KIND else f"{title}, in one task of each kind",
        Wanted(None, "passed", "", published=True),
        disturbed(name, disturb, tasks, again=name == "kill-process"),
        fast=name == "kill-one-of-each-kind",
        deploys=True,
        recovers=True,
    )
    for name, (title, disturb, tasks) in DISTURBANCES.items()
) + tuple(
    Case(
        f"deploy-clear-rolled-back{'' if downstream else '-alone'}",
        SECTION,
        f"each task of a rolled-back run is cleared, {'with downstream' if downstream else 'alone'}",
        Wanted("verify.smoke", "rolled_back", r"^verify\.smoke failed: ", published=True),
        cleared_when_rolled_back(downstream),
        deploys=True,
    )
    for downstream in (True, False)
)
