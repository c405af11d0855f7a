"""What a case acts with: the example's developer, Airflow, and a look at everything that a run may still hold."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from faults.case import Seen
from slipway.ledger import Ledger, Release
from slipway.release import label, run_id, short
from slipway_sandbox.developer import Developer
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.parts.vault import Vault
from slipway_sandbox.project import NAME, Project
from slipway_sandbox.runs import Airflow

_ANONYMOUS = re.compile("[0-9a-f]{64}")  # the engine's own name of a volume that was given none


@dataclass
class Scene:
    """The running sandbox with the example service in it. Pushes may be made from several threads at once."""

    project: Project
    pushing: threading.Lock = field(default_factory=threading.Lock, init=False)
    _good: str | None = field(default=None, init=False)

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox; its `supervisor` stops and starts the parts' processes."""
        return self.project.sandbox

    @property
    def dag_id(self) -> str:
        """The service's DAG."""
        return self.project.service.dag_id

    def example(self, path: str, folder: str = NAME) -> str:
        """Give the text of one of the example's files."""
        return (self.project.examples / folder / path).read_text()

    # --- what people do ---
    def push(
        self,
        message: str,
        *scenarios: str,
        files: Mapping[str, str] | None = None,
        remove: Sequence[str] = (),
    ) -> Seen:
        """Push the example with scenarios and files over it, without those in `remove`; give how its release ended."""
        return self.wait(self.start(message, *scenarios, files=files, remove=remove))

    def start(
        self,
        message: str,
        *scenarios: str,
        files: Mapping[str, str] | None = None,
        remove: Sequence[str] = (),
    ) -> str:
        """Push as :meth:`push` does, but do not wait; give the run's id."""
        with self.pushing:
            commit = self.project.commit(message, *scenarios, files=files, remove=remove)
            self.project.clone.push()
        return run_id(NAME, commit)

    def again(self, commit: str) -> Seen:
        """Release a commit once more, as a run of its own; give how it ended. Its gates' verdicts are on record."""
        return self.wait(self.start_again(commit))

    def start_again(self, commit: str) -> str:
        """Release a commit once more as :meth:`again` does, but do not wait; give the run's id."""
        hook = Airflow(self.sandbox, "hook")
        conf = {"service": NAME, "commit": commit, "ref": f"refs/heads/{self.project.service.source.branch}"}
        for repeat in count(1):
            run = run_id(NAME, commit, repeat)
            body = {"dag_run_id": run, "conf": conf, "logical_date": None}
            answer = hook.call("POST", f"/api/v2/dags/{self.dag_id}/dagRuns", json=body)
            if answer.status_code == 200:
                return run
            if answer.status_code != 409:
                raise SandboxError(f"Airflow does not start {run}: {answer.status_code} {answer.text[:300]}")
        raise AssertionError

    @contextmanager
    def configured(self, files: Mapping[str, str] | None = None, remove: Sequence[str] = ()) -> Iterator[str]:
        """Commit a change to the config repository, give its revision, and put examples/ there again afterwards."""
        clone = Developer(
            self.sandbox,
            self.project.service.config.repository,
            self.project.folder.with_name(f"{NAME}-config"),
            "config-editor",
        )
        clone.clone()
        clone.become(self.project.examples / f"{NAME}-config")
        for path, text in (files or {}).items():
            (clone.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (clone.folder / path).write_text(text)
        for path in remove:
            (clone.folder / path).unlink()
        try:
            revision = clone.commit("Break the deployment on purpose")
            clone.push()
            yield revision
        finally:
            self.project.configure()

    def clear(self, run: str, tasks: Sequence[str], *, downstream: bool = False) -> None:
        """Clear tasks of a run, as the button in Airflow's UI does."""
        Airflow(self.sandbox, "admin").clear(self.dag_id, run, tasks, downstream=downstream)

    # --- what came of it ---
    def wait(self, run: str, timeout_s: float = 1800) -> Seen:
        """Wait until a run ends, and look at what it left."""
        before, start = self.serving(), time.monotonic()
        airflow = Airflow(self.sandbox)  # of this thread
        airflow.follow(self.dag_id, run, timeout_s)
        release = self.record(run)
        tasks = airflow.tasks(self.dag_id, run)
        decided = tasks.get(release.stage or "", {})
        now = self.serving()
        return Seen(
            stage=release.stage,
            outcome=release.status.value,
            message=release.reason or "",
            published=self.published(release.commit),
            held=tuple(self.held(run)),
            attempts=decided.get("try_number") or 1,
            run_id=run,
            # another release that runs at the same time may have been deployed meanwhile
            replaced=before is not None and now in (None, release.commit) and now != before,
            seconds=time.monotonic() - start,
        )

    def record(self, run: str) -> Release:
        """Give the ledger's record of a run."""
        with closing(Ledger(self._ledger_url)) as ledger:
            release = ledger.record(run)
        if release is None:
            raise SandboxError(f"the ledger has no release {run}")
        return release

    def newest(self) -> Release | None:
        """Give the newest release of the service that has ended, as the ledger has it."""
        with closing(Ledger(self._ledger_url)) as ledger:
            return next((one for one in ledger.releases(NAME, 10) if one.finished_at is not None), None)

    @property
    def _ledger_url(self) -> str:
        return (self.sandbox.layout.credentials / "ledger-url").read_text().strip()

    def published(self, commit: str) -> bool:
        """Whether the registry has an image of a commit."""
        user, password = self.sandbox.registry_account("pull")
        repository = self.project.service.image.repository
        answer = session(str(self.sandbox.registry_ca)).head(
            f"https://{self.sandbox.registry}/v2/{repository}/manifests/{short(commit)}",
            auth=(user, password.read_text().strip()),
            headers={"Accept": "application/vnd.oci.image.manifest.v1+json"},
            timeout=10,
        )
        if answer.status_code not in (200, 404):
            raise SandboxError(f"the registry answers {answer.status_code}")
        return answer.status_code == 200

    def serving(self) -> str | None:
        """Give the commit that the service in the cluster says it is; None if it does not answer."""
        with suppress(Exception):  # no deployment yet, no pod that is ready: whatever it is, nothing serves
            return str(self.project.version()["commit"])
        return None

    def good_push(self) -> float:
        """Push the example as it is; give the seconds until it was healthy.

        :raises SandboxError: if its release did not pass, or another commit serves.
        """
        seen = self.push("Release the example as it is")
        if seen.outcome != "passed" or seen.held:
            raise SandboxError(f"{seen.run_id} {seen.outcome} at {seen.stage}: {seen.first_line} {seen.held}")
        commit = self.record(seen.run_id).commit
        if self.serving() != commit:
            raise SandboxError(f"{commit} was released, but {self.serving()} serves")
        self._good = commit
        return seen.seconds

    def good(self) -> str:
        """Give a commit that was released and serves, or served last; push one if there is none yet."""
        if self._good is None:
            newest = self.newest()
            if newest and newest.status == "passed" and newest.commit == self.serving():
                self._good = newest.commit
            else:
                self.good_push()
        assert self._good is not None
        return self._good

    # --- what is still held ---
    def held(self, run: str) -> list[str]:
        """Give in words everything that a run that has ended still holds; nothing when all was given back."""
        return [
            *self._lanes(run),
            *self._leases(run),
            *self._engine(run),
            *self._cluster(run),
            *self._locks(),
            *self._doubts(run),
        ]

    def rows(self, database: str, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Give the rows of a query, asked as the administrator of Postgres."""
        with closing(Postgres(self.sandbox).connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(query, values)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def execute(self, database: str, statement: str) -> None:
        """Run a statement as the administrator of Postgres."""
        with closing(Postgres(self.sandbox).connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)

    def _lanes(self, run: str) -> list[str]:
        rows = self.rows("ledger", "SELECT service, environment FROM lanes WHERE run_id = %s", run)
        return [f"lane {service} {environment}" for service, environment in rows]

    def _locks(self) -> list[str]:
        migrations = self.project.service.deploy.migrations
        assert migrations is not None
        if self.rows(migrations.database, "SELECT to_regclass('databasechangeloglock')") == [(None,)]:
            return []
        rows = self.rows(migrations.database, "SELECT lockedby FROM databasechangeloglock WHERE locked")
        return [f"Liquibase's lock, by {by}" for (by,) in rows]

    def _doubts(self, run: str) -> list[str]:
        rows = self.rows("ledger", "SELECT id FROM changesets WHERE NOT certain AND run_id = %s", run)
        return [f"doubt whether changeset {name} was applied" for (name,) in rows]

    def _span(self, run: str) -> tuple[datetime, datetime]:
        release = self.record(run)
        return release.started_at, release.finished_at or datetime.now(UTC)

    def _leases(self, run: str) -> list[str]:
        """Leases of database passwords that were made while the run ran: only one release deploys at a time."""
        migrations = self.project.service.deploy.migrations
        assert migrations is not None
        client, role = Vault(self.sandbox).client(), f"database/creds/{migrations.credentials}/"
        listed = client.list(f"sys/leases/lookup/{role}")
        start, end = self._span(run)
        found = []
        for name in listed["data"]["keys"] if listed else []:
            lease = client.write("sys/leases/lookup", lease_id=role + name)["data"]
            made = datetime.fromisoformat(re.sub(r"\.\d+", "", lease["issue_time"]))
            if start.replace(microsecond=0) <= made <= end:
                found.append(f"lease {role}{name}")
        return found

    def _engine(self, run: str) -> list[str]:
        import docker

        prefix = f"slipway-{label(run)}-"
        client = docker.APIClient(base_url=self.sandbox.docker_host, version="auto", timeout=30)
        with closing(client):
            names = [one["Names"][0].lstrip("/") for one in client.containers(all=True)]
            found = [f"container {name}" for name in names if name.startswith(prefix)]
            networks = [one["Name"] for one in client.networks()]
            found += [f"network {name}" for name in networks if name.startswith(prefix)]
            volumes = client.volumes(filters={"dangling": True})["Volumes"] or []
        start, end = self._span(run)
        for volume in volumes:
            made = datetime.fromisoformat(volume["CreatedAt"])
            if _ANONYMOUS.fullmatch(volume["Name"]) and start <= made <= end:
                found.append(f"volume {volume['Name'][:12]}")
        return found

    def _cluster(self, run: str) -> list[str]:
        from kubernetes import client

        core, namespace = client.CoreV1Api(self.project.cluster()), self.project.service.deploy.namespace
        prefix = f"slipway-{label(run)}-"
        pods = core.list_namespaced_pod(namespace, label_selector=f"run_id={run}").items
        found = [f"pod {one.metadata.name}" for one in pods if one.metadata.deletion_timestamp is None]
        for kind in ("secret", "config_map"):
            listed = getattr(core, f"list_namespaced_{kind}")(namespace)
            found += [
                f"{kind} {one.metadata.name}"
                for one in listed.items
                # what its pod owns goes with the pod, a moment later
                if one.metadata.name.startswith(prefix) and not one.metadata.owner_references
            ]
        return found
