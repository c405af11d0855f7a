"""An example service as its developers have it: push it, follow its release, and look at what came of it in every part."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.catalog import Service, load_service
from slipway.ledger import Ledger, Release, wishes
from slipway_sandbox.developer import Developer
from slipway_sandbox.layout import SandboxError, write_file
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.git import Git
from slipway_sandbox.runs import Airflow, seconds_between

NAME = "ai-generation"
"""The example that is released if no other is named."""
RECONCILE = "reconcile"


@dataclass(frozen=True)
class Pushed:
    """What came of one push."""

    commit: str
    said: str
    state: str
    release: Release
    run: Mapping[str, Any]
    tasks: Mapping[str, Mapping[str, Any]]

    @property
    def states(self) -> dict[str, str]:
        """Airflow's state of each task."""
        return {name: task["state"] for name, task in self.tasks.items()}

    @property
    def seconds_to_start(self) -> float:
        """Seconds from the push's arrival at Airflow until the first task ran."""
        return seconds_between(self.run["queued_at"], self.tasks["accept"]["start_date"])

    @property
    def seconds_to_healthy(self) -> float:
        """Seconds from the push's arrival at Airflow until the service was healthy."""
        return seconds_between(self.run["queued_at"], self.tasks["verify.health"]["end_date"])


@dataclass
class Project:
    """An example service, with a developer's clone of its repository in `folder`.

    :param name: of a service of the catalog whose files are in examples/.
    """

    sandbox: Sandbox
    folder: Path
    name: str = NAME
    service: Service = field(init=False)
    clone: Developer = field(init=False)
    airflow: Airflow = field(init=False)

    def __post_init__(self) -> None:
        self.service = load_service(self.sandbox.layout.checkout / f"include/services/{self.name}.yaml")
        self.clone = Developer(self.sandbox, self.service.source.repository, self.folder)
        self.airflow = Airflow(self.sandbox)

    @property
    def examples(self) -> Path:
        """Where the examples' files are."""
        return self.sandbox.layout.checkout / "examples"

    def run_id(self, commit: str) -> str:
        """The id of a commit's run."""
        return f"{self.name}.{commit[:12]}"

    def configure(self) -> None:
        """Make the config repository what examples/ has."""
        clone = Developer(
            self.sandbox,
            self.service.config.repository,
            self.folder.with_name(f"{self.name}-config"),
            "config-editor",
        )
        clone.clone()
        clone.become(self.examples / f"{self.name}-config")
        if clone.git("status", "--porcelain"):
            clone.commit("Configure the deployment")
            clone.push()

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """Let the repository's hook have a wrong password: git accepts a push, and nobody starts its release."""
        path = Git(self.sandbox).repositories / f"{self.service.source.repository}.git/slipway-hook.json"
        kept, owner = path.read_text(), path.stat()
        wrong = json.dumps({**json.loads(kept), "password": "wrong"})
        write_file(path, wrong, 0o600, (owner.st_uid, owner.st_gid))
        try:
            yield
        finally:
            write_file(path, kept, 0o600, (owner.st_uid, owner.st_gid))

    def reconcile(self) -> str:
        """Let the reconciler look for missed pushes now; give what it made of this service: `success`, `skipped`."""
        airflow, run = Airflow(self.sandbox, "admin"), f"manual__{time.time_ns()}"
        airflow.start(RECONCILE, run)
        airflow.follow(RECONCILE, run, timeout_s=180)
        return str(airflow.tasks(RECONCILE, run)[self.name]["state"])

    def commit(
        self,
        message: str,
        *scenarios: str,
        files: Mapping[str, str] | None = None,
        remove: Sequence[str] = (),
    ) -> str:
        """Commit the example with scenarios and files over it, without the files in `remove`; give the commit."""
        if not self.folder.is_dir():
            self.clone.clone()
        self.clone.become(
            self.examples / self.name, *(self.examples / f"{self.name}-scenarios" / one for one in scenarios)
        )
        for path, text in (files or {}).items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)
        for path in remove:
            (self.folder / path).unlink()
        return self.clone.commit(message)

    def push(
        self,
        message: str,
        *scenarios: str,
        files: Mapping[str, str] | None = None,
        tell: Callable[[str, str, float], None] | None = None,
    ) -> Pushed:
        """Commit, push, and wait until the release ends.

        :param tell: called with task, state and seconds as each task ends.
        """
        commit = self.commit(message, *scenarios, files=files)
        return self.follow(commit, self.clone.push(), tell)

    def follow(self, commit: str, said: str, tell: Callable[[str, str, float], None] | None = None) -> Pushed:
        """Wait until the release of a pushed commit ends."""
        dag_id, run_id = self.service.dag_id, self.run_id(commit)
        state = self.airflow.follow(dag_id, run_id, timeout_s=1800, tell=tell)
        run = self.airflow.run(dag_id, run_id)
        assert run is not None
        return Pushed(commit, said, state, self.release(commit), run, self.airflow.tasks(dag_id, run_id))

    def release(self, commit: str) -> Release:
        """Give the ledger's record of a commit."""
        ledger = Ledger((self.sandbox.layout.credentials / "ledger-url").read_text().strip())
        try:
            release = ledger.release(self.name, commit)
        finally:
            ledger.close()
        if release is None:
            raise SandboxError(f"the ledger has no release of {commit}")
        return release

    def wanted(self, commit: str) -> str:
        """Give the run that is meant by who pushes a commit as the head of the branch."""
        ledger = Ledger((self.sandbox.layout.credentials / "ledger-url").read_text().strip())
        try:
            found = wishes.look(ledger, self.name, "staging", commit)
        finally:
            ledger.close()
        assert found is not None
        return found[0].run_id

    def changesets(self, name: str, **phases: str) -> dict[str, str]:
        """Give the files that add changesets to the example's changelog.

        :param phases: the SQL of one for each phase, `expand` or `contract`; the first is called ``name``, others
            ``name-phase``.
        """
        path, parts = "migrations/changelog.yaml", [f"--liquibase formatted sql logicalFilePath:{name}.sql"]
        for phase, sql in phases.items():
            own = name if len(parts) == 1 else f"{name}-{phase}"
            parts.append(f"--changeset example:{own} labels:{phase}\n{sql}\n--rollback empty")
        include = f"  - include: {{file: changesets/{name}.sql, relativeToChangelogFile: true}}\n"
        return {
            path: (self.examples / self.name / path).read_text() + include,
            f"migrations/changesets/{name}.sql": "\n".join([*parts, ""]),
        }

    def cluster(self) -> Any:
        """Give a client of the cluster, as its administrator."""
        from kubernetes import config

        return config.new_client_from_config(str(self.sandbox.admin_kubeconfig))

    def digests(self, commit: str) -> dict[str, set[str]]:
        """Give the digest of a commit's image as registry, record and serving pods each have it."""
        from kubernetes import client

        user, password = self.sandbox.registry_account("pull")
        answer = session(str(self.sandbox.registry_ca)).head(
            f"https://{self.sandbox.registry}/v2/{self.service.image.repository}/manifests/{commit[:12]}",
            auth=(user, password.read_text().strip()),
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
            timeout=10,
        )
        api, plan = self.cluster(), self.service.deploy
        deployment = client.AppsV1Api(api).read_namespaced_deployment(plan.deployment, plan.namespace)
        selector = ",".join(f"{k}={v}" for k, v in deployment.spec.selector.match_labels.items())
        pods = client.CoreV1Api(api).list_namespaced_pod(plan.namespace, label_selector=selector).items
        serving = [pod for pod in pods if pod.metadata.deletion_timestamp is None]
        return {
            "registry": {answer.headers.get("Docker-Content-Digest", f"none ({answer.status_code})")},
            "record": {str(self.release(commit).digest)},
            "pods": {
                one.image_id.rpartition("@")[2] for pod in serving for one in pod.status.container_statuses
            },
        }

    def version(self) -> Any:
        """Give what the service in the cluster says of itself."""
        from kubernetes import client

        health = self.service.verify.health
        assert health.version
        answer = client.CoreV1Api(self.cluster()).connect_get_namespaced_service_proxy_with_path(
            f"{health.service}:{health.port}",
            self.service.deploy.namespace,
            health.version.lstrip("/"),
            _preload_content=False,
        )
        return json.loads(answer.data)


def progress() -> Callable[[str, str, float], None]:
    """Give a `tell` that prints a line for each task that ends, with the time since now."""
    words, start = {"success": "passed", "upstream_failed": "not reached"}, time.monotonic()

    def tell(task: str, state: str, seconds: float) -> None:
        print(
            f"[{time.monotonic() - start:6.1f} s] {task:<22} {words.get(state, state):<12} {seconds:6.1f} s",
            flush=True,
        )

    return tell
