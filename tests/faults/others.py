"""What others do to the cluster beside a release, and what only the second run or the last phase of a change shows.

A release stops before it overwrites what somebody else has changed, and what stops it serves nothing new.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from faults import platform
from faults.case import Case, Seen, Wanted
from faults.scene import Scene
from faults.service import SECTION, as_before, noted, reconfigured

ELSE = "somebody-else"
"""The field manager of changes that are not Slipway's."""

POLICY = "slipway-faults"


def _scaled(scene: Scene, replicas: int) -> None:
    from kubernetes import client

    client.AppsV1Api(scene.project.cluster()).patch_namespaced_deployment(
        scene.project.service.deploy.deployment,
        scene.project.service.deploy.namespace,
        {"spec": {"replicas": replicas}},
        field_manager=ELSE,
    )


def _edited_by_another(scene: Scene) -> Seen:
    """Somebody scales the deployment by hand: the field is theirs from then on, and a release would undo it."""
    commit = scene.good()
    _scaled(scene, 3)
    try:
        return scene.again(commit)
    finally:
        _scaled(scene, 2)  # as the manifests say: what both want the same is no conflict


@contextmanager
def _admission(scene: Scene) -> Iterator[None]:
    """Let a policy of the cluster's owner refuse what has more than one replica."""
    from kubernetes import client

    admission = client.AdmissionregistrationV1Api(scene.project.cluster())
    namespace = scene.project.service.deploy.namespace
    rules = [{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}]
    admission.create_validating_admission_policy(
        {
            "metadata": {"name": POLICY},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{**rules[0], "resources": ["deployments"]}]},
                "validations": [
                    {"expression": "object.spec.replicas <= 1", "message": "one pod each, please"}
                ],
            },
        }
    )
    try:
        admission.create_validating_admission_policy_binding(
            {
                "metadata": {"name": POLICY},
                "spec": {
                    "policyName": POLICY,
                    "validationActions": ["Deny"],
                    "matchResources": {
                        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
                    },
                },
            }
        )
        yield
    finally:
        with suppress(client.ApiException):
            admission.delete_validating_admission_policy_binding(POLICY)
        admission.delete_validating_admission_policy(POLICY)


def _refused(scene: Scene) -> Seen:
    commit = scene.good()
    with _admission(scene):
        return scene.again(commit)


def _moved(scene: Scene) -> Seen:
    """An object goes after the plan has been made of it, and before it is applied."""
    from kubernetes import client

    run = scene.start_again(scene.good())
    platform.reaches(scene, run, "deploy.plan", "running", "success")
    with platform.held_back(scene, "slipway_cluster"):
        platform.reaches(scene, run, "deploy.secrets", "scheduled")
        client.CoreV1Api(scene.project.cluster()).delete_namespaced_config_map(
            "ai-generation", scene.project.service.deploy.namespace
        )
    seen = scene.wait(run)
    # what the message says is to be done
    scene.clear(run, ["deploy.plan"], downstream=True)
    again = scene.wait(run)
    if again.outcome == "passed" and not again.held:
        return seen
    return noted(seen, f"planned anew, it {again.outcome} at {again.stage}: {again.first_line}")


def _unwaived(scene: Scene) -> Seen:
    """Rewrite, before the rollout, the table that the running version works with."""
    files = scene.project.changesets(
        f"retype-{time.time_ns()}", expand="alter table generations alter column prompt type varchar(100000);"
    )
    return as_before(scene, "Change the type of a column", files)


def _failing_contract(scene: Scene) -> Seen:
    """Take away, after the verification, what cannot be: the new version serves, and the schema is as it was."""
    files = scene.project.changesets(
        f"contract-{time.time_ns()}", contract="update generations set max_words = 0;"
    )
    seen = as_before(scene, "Take away what cannot be taken away", files)
    serving, commit = scene.serving(), scene.record(seen.run_id).commit
    notes = [f"{serving} serves, not what was verified"] if serving != commit else []
    return noted(dataclasses.replace(seen, replaced=False), *notes)


def _case(
    name: str, title: str, stage: str, message: str, act: Callable[[Scene], Seen], *, fast: bool = False
) -> Case:
    return Case(
        name, SECTION, title, Wanted(stage, "failed", message, published=True), act, fast, deploys=True
    )


CASES: tuple[Case, ...] = (
    _case(
        "conflicting-field",
        "a field that somebody else has set to another value",
        "deploy.config",
        rf"^comparing what is live: Deployment/ai-generation: \.spec\.replicas belongs to field manager {ELSE}",
        _edited_by_another,
    ),
    _case(
        "admission-refusal",
        "a deployment that a policy of the cluster refuses",
        "deploy.config",
        r"^comparing Deployment/ai-generation: .*denied request: one pod each, please",
        _refused,
    ),
    _case(
        "moved-cluster",
        "an object that is deleted between the plan and its application",
        "deploy.apply",
        r"^the cluster is not what the plan was made of: ConfigMap/ai-generation",
        _moved,
        fast=True,
    ),
    _case(
        "changing-playbook",
        "a playbook that changes something at each run",
        "deploy.infra",
        r"^deploy\.infra failed: not idempotent: run a second time, it changes something again: .*Write the time",
        reconfigured(
            "  tasks:\n",
            "  tasks:\n    - name: Write the time\n"
            "      ansible.builtin.copy:\n"
            "        dest: /tmp/time\n        mode: '0600'\n"
            "        content: \"{{ lookup('pipe', 'date +%s%N') }}\"\n",
            "infra/site.yaml",
        ),
    ),
    _case(
        "unwaived-changeset",
        "a changeset that rewrites, before the rollout, the table that is in use",
        "deploy.pending",
        r"^a pending changeset may lock or break the running version: .*retype-\d+::example: changing-column-type: ",
        _unwaived,
    ),
    _case(
        "failing-contract",
        "a changeset that takes away, after the verification, and fails on the real database only",
        "verify.contract",
        r"^verify\.contract failed: .*contract-\d+.*violates check constraint",
        _failing_contract,
    ),
)
