"""The platform has no room for a release's own pods: waited for as long as for a rollout, once, then errored."""

from __future__ import annotations

import time
from collections.abc import Callable

from faults.case import Case, Seen, Wanted
from faults.platform import REGISTRY_DOWN
from faults.scene import Scene
from faults.service import noted
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.runs import ENDED, Airflow

AWAY_S = 30
"""Seconds that the cluster lacks something while a release waits for it."""


def _no_node(scene: Scene) -> Seen:
    from kubernetes import client

    commit = scene.good()
    core = client.CoreV1Api(scene.project.cluster())
    nodes = [one.metadata.name for one in core.list_node().items]
    try:
        for node in nodes:
            core.patch_node(node, {"spec": {"unschedulable": True}})
        seen = scene.again(commit)
    finally:
        for node in nodes:
            core.patch_node(node, {"spec": {"unschedulable": False}})
    return noted(seen, *([f"the whole time was taken {seen.attempts} times"] if seen.attempts > 1 else []))


def _running(scene: Scene, run: str, task: str) -> None:
    """Wait until a task of a run runs."""
    deadline = time.monotonic() + 600
    while (state := Airflow(scene.sandbox).tasks(scene.dag_id, run).get(task, {}).get("state")) != "running":
        if state in ENDED or time.monotonic() > deadline:
            raise SandboxError(f"{task} of {run} is {state}: it was not seen to run")
        time.sleep(0.1)


def _once(act: Callable[[Scene, str], None]) -> Callable[[Scene], Seen]:
    """Give the act that releases a new commit, and lacks something for a while: the release waits, and needs no other try."""

    def acted(scene: Scene) -> Seen:
        scene.good()
        run = scene.start("Change only code", "code-only")
        act(scene, run)
        seen = scene.wait(run)
        tasks = Airflow(scene.sandbox).tasks(scene.dag_id, run)
        tries = {name: one["try_number"] for name, one in tasks.items() if (one["try_number"] or 0) > 1}
        return noted(seen, *(f"{name} was tried {count} times" for name, count in tries.items()))

    return acted


def _room_later(scene: Scene, run: str) -> None:
    """Let no node take the service's new pods, and have room for them half a minute later, as where a node is added."""
    from kubernetes import client

    core = client.CoreV1Api(scene.project.cluster())
    nodes = [one.metadata.name for one in core.list_node().items]
    _running(scene, run, "deploy.apply")
    try:
        for node in nodes:
            core.patch_node(node, {"spec": {"unschedulable": True}})
        _running(scene, run, "deploy.rollout")
        time.sleep(AWAY_S)
    finally:
        for node in nodes:
            core.patch_node(node, {"spec": {"unschedulable": False}})


def _pull_later(scene: Scene, run: str) -> None:
    """Let the registry be away when the first pod of the new image is made, and back half a minute later."""
    _running(scene, run, "deploy.config")
    with REGISTRY_DOWN(scene):
        _running(scene, run, "deploy.pending")
        time.sleep(AWAY_S)


_PASSED = Wanted(None, "passed", "^$", published=True, replaced=True)

CASES: tuple[Case, ...] = (
    Case(
        "room-made-later",
        "platform",
        "no node takes the new pods until one has room half a minute later",
        _PASSED,
        _once(_room_later),
        deploys=True,
    ),
    Case(
        "pulled-later",
        "platform",
        "the registry is away when the new image is pulled, and back half a minute later",
        _PASSED,
        _once(_pull_later),
        deploys=True,
    ),
    Case(
        "no-node",
        "platform",
        "no node takes the pod that asks the database",
        Wanted(
            "deploy.pending",
            "errored",
            r"^deploy\.pending: pod \S+ has not started after 180 s: Unschedulable: 0/1 nodes are available: ",
            published=True,
        ),
        _no_node,
        deploys=True,
    ),
)
