"""The platform has no room for a release's own pods: said within seconds, tried a few times, then errored."""

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
    took = next(one.seconds for one in scene.record(seen.run_id).stages if one.name == seen.stage)
    # of its last attempt; the operator's own bound would be two minutes
    return noted(seen, *([f"an attempt took {took:.0f} s to see it"] if took > 20 else []))


CASES: tuple[Case, ...] = (
    Case(
        "no-node",
        "platform",
        "no node takes the pod that asks the database",
        Wanted(
            "deploy.pending",
            "errored",
            r"^deploy\.pending: pod \S+ does not start: Unschedulable: 0/1 nodes are available: ",
            published=True,
        ),
        _no_node,
        deploys=True,
    ),
)
