"""The platform has no room for a release's own pods: waited for as long as for a rollout, once, then errored."""

from __future__ import annotations

from slipway_sandbox.faults.case import Case, Seen, Wanted
from slipway_sandbox.faults.scene import Scene
from slipway_sandbox.faults.service import noted


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


CASES: tuple[Case, ...] = (
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
