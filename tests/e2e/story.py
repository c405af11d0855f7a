"""The story of the example service that the tests look at: few releases, each pushed once and looked at by many tests."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from faults.scene import Scene
from kubernetes import client
from slipway.release import Status
from slipway_sandbox.developer import Developer
from slipway_sandbox.project import Project, Pushed
from slipway_sandbox.run import run

STRAY = "refs/heads/feature/refs/heads/main"
"""A branch that anybody may push, whose full name ends as the release branch's; it comes first in a list of refs."""


@dataclass(frozen=True)
class Look:
    """What the parts had of a release right after it had ended."""

    digests: Mapping[str, set[str]]
    version: Mapping[str, Any]
    note: str | None

    @classmethod
    def at(cls, project: Project, commit: str) -> Look:
        """Look now."""
        return cls(project.digests(commit), project.version(), project.clone.note(commit))


@dataclass(frozen=True)
class Released:
    """A release, whatever came of it, and a look at it."""

    pushed: Pushed
    look: Look


# --- new source with a new changeset, and an image that takes all that it may ---
@dataclass(frozen=True)
class Migrated(Released):
    """A release that migrated.

    :param changeset: its name; there is another, `<name>-made-up`, for the throwaway databases alone.
    :param passwords: of the database that were leased for it: one for each attempt.
    """

    changeset: str
    passwords: frozenset[str]


def migrate(project: Project) -> Migrated:
    """Push a changeset that no database has yet, whatever ran on this sandbox before; see the passwords leased for it."""
    name = f"e2e-{time.time_ns()}"
    scenario = project.examples / f"{project.name}-scenarios/new-changeset"
    changelog = (scenario / "migrations/changelog.yaml").read_text()
    files = {
        "migrations/changelog.yaml": f"{changelog}  - include: {{file: changesets/{name}.sql, relativeToChangelogFile: true}}\n",
        f"migrations/changesets/{name}.sql": f"--liquibase formatted sql logicalFilePath:{name}.sql\n"
        f"--changeset e2e:{name} labels:expand\ncomment on table generations is '{name}';\n--rollback empty\n"
        f'--changeset e2e:{name}-made-up labels:expand context:test\ncreate table "{name}" (id bigint);\n--rollback empty\n',
        **all_but_ignored(project),
    }
    with leased_passwords(project) as seen:
        pushed = project.push(
            "Add a changeset, and take all that is not ignored", "new-changeset", files=files
        )
    assert pushed.state == "success", pushed.release.reason
    look = Look.at(project, pushed.commit)
    return Migrated(pushed, look, name, frozenset(seen[project.run_id(pushed.commit)]))


def all_but_ignored(project: Project) -> dict[str, str]:
    """Give the files of a service whose image takes all that `.dockerignore` does not keep out."""
    dockerfile = (project.examples / project.name / "Dockerfile").read_text()
    one_by_one = "COPY src /app/src\nCOPY migrations /app/migrations\nCOPY smoke /app/smoke\n"
    assert one_by_one in dockerfile
    return {
        "Dockerfile": dockerfile.replace(one_by_one, "COPY . /app\n"),
        ".dockerignore": "# not for the image\ntests\n**/*.pem\n!src/shipped.pem\n",
        "src/kept-out.pem": "for the team only\n",
        "src/shipped.pem": "for everybody\n",
    }


@contextmanager
def leased_passwords(project: Project) -> Iterator[Mapping[str, set[str]]]:
    """Give the passwords, by run, that are seen meanwhile in the Secrets that hold them for a moment."""
    core, seen, ended = (
        client.CoreV1Api(project.cluster()),
        defaultdict[str, set[str]](set),
        threading.Event(),
    )

    def watch() -> None:
        while not ended.wait(0.3):
            held = core.list_namespaced_secret(
                project.service.deploy.namespace, label_selector="slipway/purpose=release"
            )
            for one in held.items:
                of_run = (one.metadata.annotations or {}).get("slipway/run")
                if of_run:  # also of runs that were killed
                    given = json.loads(base64.b64decode(one.data["database.json"]))
                    seen[of_run].add(given["password"])

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join(10)


# --- a unit test that fails ---
@dataclass(frozen=True)
class Failing(Released):
    """A release that failed, and in words what it still held afterwards."""

    held: tuple[str, ...]


def push_failing(project: Project) -> Failing:
    """Push a unit test that the code does not pass."""
    pushed = project.push("Break a unit test", "failing-test")
    held = Scene(project).held(project.run_id(pushed.commit))
    return Failing(pushed, Look.at(project, pushed.commit), tuple(held))


# --- code alone, which nobody heard of ---
@dataclass(frozen=True)
class Unheard(Released):
    """A push of code alone that nobody heard of, and what reconciling made of it.

    :param config_revision: the head of the configuration's release branch.
    :param reconciled: what the reconciler made of the service before the push, after it, and once more.
    :param started: runs that there were of it where there must be none, in words.
    :param told: what `slipway release` says of it afterwards.
    """

    config_revision: str
    reconciled: tuple[str, str, str]
    started: tuple[str, ...]
    told: Mapping[str, Any]


def push_unheard(project: Project) -> Unheard:
    """Push code alone while the hook has a wrong password; beside the release branches lie commits that nobody reviewed.

    In the namespace there is meanwhile what is no affair of the release's.
    """
    config = Developer(
        project.sandbox,
        project.service.config.repository,
        project.folder.with_name("config"),
        "config-editor",
    )
    config.clone()
    started = []

    def none(run_id: str, when: str) -> None:
        if project.airflow.run(project.service.dag_id, run_id) is not None:
            started.append(f"{run_id} {when}")

    with ExitStack() as beside:
        unreviewed, _ = [beside.enter_context(stray(clone)) for clone in (project.clone, config)]
        beside.enter_context(bystanders(project))
        before = project.reconcile()
        none(project.run_id(unreviewed), "of a branch that only resembles the release branch")
        commit = project.commit("Push while the hook has a wrong password", "code-only")
        with project.unheard():
            said = project.clone.push()
        none(project.run_id(commit), "before anybody looked for it")
        found = project.reconcile()
        pushed = project.follow(commit, said)
        again = project.reconcile()
        none(f"{project.run_id(commit)}.r1", "for the second time")
    layout = project.sandbox.layout
    asked = run(
        [layout.bin / "slipway", "release", project.name, "--json"],
        what="slipway",
        env={"SLIPWAY_STATE": str(layout.state), "SLIPWAY_CACHE": str(layout.cache)},
        timeout_s=60,
    )
    look = Look.at(project, commit)
    return Unheard(
        pushed, look, config.head(), (before, found, again), tuple(started), json.loads(asked.stdout)
    )


@contextmanager
def stray(clone: Developer) -> Iterator[str]:
    """Push a commit, that nobody has reviewed, to such a branch; give it. The branch is deleted in the end."""
    commit = clone.git("commit-tree", "-p", "HEAD", "-m", "Not meant for main", "HEAD^{tree}")
    clone.git("push", "--quiet", "origin", f"{commit}:{STRAY}")
    try:
        yield commit
    finally:
        clone.git("push", "--quiet", "origin", f":{STRAY}")


@contextmanager
def bystanders(project: Project) -> Iterator[None]:
    """Have a pod that has ended, and a Deployment whose image is another, under the labels of the service's own pods."""
    plan, api = project.service.deploy, project.cluster()
    core, apps = client.CoreV1Api(api), client.AppsV1Api(api)
    served = apps.read_namespaced_deployment(plan.deployment, plan.namespace)
    labels, name = served.spec.selector.match_labels, f"{plan.deployment}-bystander"
    pod = {
        "automountServiceAccountToken": False,
        "imagePullSecrets": [{"name": "registry-pull"}],
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "app",
                "image": served.spec.template.spec.containers[0].image,
                "command": ["sleep", "infinity"],
                "resources": {
                    "requests": {"cpu": "10m", "memory": "16Mi"},
                    "limits": {"cpu": "100m", "memory": "32Mi"},
                },
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
            }
        ],
    }
    ended = {
        **pod,
        "restartPolicy": "Never",
        "containers": [{**pod["containers"][0], "command": ["/bin/false"]}],
    }
    own = {**labels, "role": "worker"}
    template = {"metadata": {"labels": own}, "spec": pod}
    worker = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": own}, "template": template}}
    core.create_namespaced_pod(plan.namespace, {"metadata": {"name": name, "labels": labels}, "spec": ended})
    try:
        apps.create_namespaced_deployment(plan.namespace, worker)
        yield
        assert core.read_namespaced_pod(name, plan.namespace).status.phase == "Failed"
        assert apps.read_namespaced_deployment(name, plan.namespace).status.replicas == 1
    finally:
        core.delete_namespaced_pod(name, plan.namespace)
        with suppress(client.ApiException):
            apps.delete_namespaced_deployment(name, plan.namespace, propagation_policy="Background")


# --- whatever serves ---
def deployed(project: Project) -> str:
    """Give the commit that serves and was released well; push one if there is none."""
    with suppress(Exception):  # no deployment yet, no pod that is ready: whatever it is, nothing serves
        serving = str(project.version()["commit"])
        if project.release(serving).status is Status.PASSED:
            return serving
    pushed = project.push("Release the example")
    assert pushed.release.status is Status.PASSED, pushed.release.reason
    return pushed.commit
