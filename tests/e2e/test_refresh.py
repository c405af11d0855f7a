"""The nightly refresh, for real: nothing to do, drift, a new base image, one service that fails, and what is past its days."""

from __future__ import annotations

import io
import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import docker
import docker.errors
import pytest
import yaml
from sqlalchemy import text

from kubernetes import client
from slipway.adapters import cluster, engine
from slipway.adapters.registry import Registry
from slipway.ledger import Ledger, Release, refreshes, reports
from slipway.release import Outcome, Status, evidence_key, label, reads, run_id
from slipway.release.sources import source_volume
from slipway_sandbox.developer import Developer
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.vault import Vault
from slipway_sandbox.project import NAME, Project
from slipway_sandbox.runs import Airflow

pytestmark = [pytest.mark.timeout(400), pytest.mark.alone]

DAG = "staging_refresh"
ABSENT = "absent"
BASE, BASES = "python:3.11-slim", "slipway.bases"


@dataclass
class Night:
    """Refreshes of the sandbox, and what they look at."""

    sandbox: Sandbox
    project: Project
    ledger: Ledger
    airflow: Airflow
    engine: Any
    registry: Registry

    def refresh(self, **conf: Any) -> tuple[str, dict[str, Any]]:
        """Run a refresh by hand; give Airflow's state of it, and its report."""
        run = f"manual__e2e-{secrets.token_hex(4)}"
        self.airflow.start(DAG, run, **conf)
        state = self.airflow.follow(DAG, run, timeout_s=300)
        told = self.airflow.log(DAG, run, "report", 1)
        print(
            "\n".join(
                line for line in told if line.startswith(("refresh ", "SERVICE", "CLEANED")) or "  " in line
            )
        )
        found = refreshes.newest(self.ledger, run)
        assert found is not None
        assert found.report is not None
        return state, dict(found.report)

    def clear(self, run: str, task: str) -> str:
        """Clear a task of a refresh with all that comes after it; give the run's state when it has ended again."""
        body = {
            "dry_run": False,
            "dag_run_id": run,
            "task_ids": [task],
            "include_downstream": True,
            "only_failed": False,
        }
        answer = self.airflow.call("POST", f"/api/v2/dags/{DAG}/clearTaskInstances", json=body)
        assert answer.status_code == 200, answer.text
        wait(
            lambda: (self.airflow.run(DAG, run) or {})["state"] in ("queued", "running"),
            "the run begins again",
        )
        return self.airflow.follow(DAG, run, timeout_s=120)

    def deployed(self) -> Release:
        """Give the release that is deployed."""
        found = refreshes.active(self.ledger, NAME, "staging")
        assert found is not None
        return found

    def tasks(self) -> set[str]:
        """Give the tasks of the DAG, as Airflow knows it now."""
        found = self.airflow.call("GET", f"/api/v2/dags/{DAG}/tasks").json()
        return {one["task_id"] for one in found["tasks"]}


def of(report: dict[str, Any], name: str = NAME) -> dict[str, Any]:
    (found,) = [one for one in (*report["services"], *report["cleaned"]) if one["name"] == name]
    return dict(found)


def removed(report: dict[str, Any], part: str) -> dict[str, int]:
    return {row["what"]: row["removed"] for row in of(report, part)["rows"]}


def wait(condition: Callable[[], bool], what: str, timeout_s: float = 60) -> None:
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"{what}: not so after {timeout_s:.0f} s"
        time.sleep(0.5)


@pytest.fixture(scope="module")
def night(sandbox: Sandbox, project: Project, deployed: str) -> Iterator[Night]:
    """Gives refreshes; the example is deployed."""
    user, password = sandbox.registry_account("push")
    ledger = Ledger((sandbox.layout.credentials / "ledger-url").read_text().strip())
    engine_ = docker.APIClient(base_url=sandbox.docker_host, version="auto", timeout=60)
    registry = Registry(sandbox.registry, user, password.read_text().strip(), sandbox.registry_ca)
    yield Night(sandbox, project, ledger, Airflow(sandbox, "admin"), engine_, registry)
    engine_.close()
    ledger.close()


def test_what_is_as_it_was_released_is_left_alone(night: Night) -> None:
    before = night.deployed()
    state, report = night.refresh()
    assert state == "success", report
    service = of(report)
    assert (service["outcome"], service["done"], service["release"]) == ("passed", [], None), service
    assert service["found"] == ["as released, made with tonight's images, no known vulnerability, healthy"]
    assert night.deployed() == before
    assert {one["outcome"] for one in report["cleaned"]} == {"passed"}
    events = night.airflow.call("GET", f"/api/v2/assets/events?source_run_id={report['run_id']}").json()
    (told,) = [event["extra"]["services"] for event in events["asset_events"]]
    assert told == {one["name"]: one["outcome"] for one in report["services"]}
    assert told[NAME] == "passed"
    # the other example is looked at, too; where nobody has pushed it yet there is nothing to refresh, which is no fault
    assert told["prompt-library"] in ("passed", "skipped")


def test_drift_is_shown_undone_and_says_whose_it_was(night: Night) -> None:
    api, plan = night.project.cluster(), night.project.service.deploy
    apps, core = client.AppsV1Api(api), client.CoreV1Api(api)
    wanted = apps.read_namespaced_deployment(plan.deployment, plan.namespace).spec.replicas
    scale = {"spec": {"replicas": wanted + 1}}
    apps.patch_namespaced_deployment_scale(
        plan.deployment, plan.namespace, scale, field_manager="kubectl-scale"
    )
    data = {"data": {"LOG_LEVEL": "DEBUG"}}
    core.patch_namespaced_config_map(plan.deployment, plan.namespace, data, field_manager="kubectl-edit")

    assert night.ledger.lane_acquire(NAME, "staging", "another", 120) is None
    state, report = night.refresh()
    night.ledger.lane_release(NAME, "staging", "another")
    left = f"not repaired: another is changing {NAME}, and applies its own manifests"
    assert (state, of(report)["done"]) == ("success", [left]), report
    assert apps.read_namespaced_deployment(plan.deployment, plan.namespace).spec.replicas == wanted + 1

    state, report = night.refresh()
    assert state == "success", report
    service = of(report)
    shown = {one["title"]: one for one in service["differences"]}
    deployment, settings = shown[f"Deployment/{plan.deployment}"], shown[f"ConfigMap/{plan.deployment}"]
    assert {f"-  replicas: {wanted + 1}", f"+  replicas: {wanted}"} <= set(deployment["lines"])
    assert {"-  LOG_LEVEL: DEBUG", "+  LOG_LEVEL: INFO"} <= set(settings["lines"])
    assert deployment["owners"] == [".spec.replicas: kubectl-scale (by scale)"]
    assert settings["owners"] == [".data.LOG_LEVEL: kubectl-edit"]
    assert len(service["done"]) == 2, service
    assert apps.read_namespaced_deployment(plan.deployment, plan.namespace).spec.replicas == wanted
    settings_now = core.read_namespaced_config_map(plan.deployment, plan.namespace).data
    assert settings_now["LOG_LEVEL"] == "INFO"
    assert night.project.version()["commit"] == night.deployed().commit
    assert night.ledger.lane_acquire(NAME, "staging", "e2e", 1) is None, "the lane is still held"
    night.ledger.lane_release(NAME, "staging", "e2e")


@contextmanager
def broken_record(night: Night) -> Iterator[str]:
    """Add a service to the catalog whose record in the ledger names no image."""
    catalog = night.sandbox.layout.checkout / "include/services"
    entry = (catalog / f"{NAME}.yaml").read_text().replace(f"service: {NAME}\n", f"service: {ABSENT}\n", 1)
    entry = entry.replace(f"namespace: {NAME}\n", f"namespace: {ABSENT}\n")
    entry = entry.replace(f"  repository: {NAME}\n", f"  repository: {ABSENT}\n")
    file, run = catalog / f"{ABSENT}.yaml", run_id(ABSENT, "e" * 40)
    night.ledger.begin(ABSENT, "staging", "e" * 40, run, "refs/heads/main")
    night.ledger.deployed(run)
    night.ledger.finish(run, Status.PASSED)
    try:
        file.write_text(entry)
        wait(lambda: f"{ABSENT}.look" in night.tasks(), "the DAG has the new service")
        yield run
    finally:
        file.unlink(missing_ok=True)
        with night.ledger.engine.begin() as connection:
            connection.execute(text("DELETE FROM deployments WHERE service = :it"), {"it": ABSENT})
            connection.execute(text("DELETE FROM releases WHERE service = :it"), {"it": ABSENT})
        wait(lambda: f"{ABSENT}.look" not in night.tasks(), "the DAG has forgotten the new service")


@dataclass
class Old:
    """What a release of long ago left, in every part."""

    run: str
    digest: str
    evidence: str
    lease: str
    container: str
    secret: str
    volume: str


def pushed(night: Night, repository: str, tag: str) -> str:
    """Push an image of the engine; give its digest."""
    account = {"username": night.registry.username, "password": night.registry.password}
    said = list(night.engine.push(repository, tag, stream=True, decode=True, auth_config=account))
    [digest] = [one["aux"]["Digest"] for one in said if "Digest" in one.get("aux", {})] or [""]
    assert digest, said
    return str(digest)


@contextmanager
def old_release(night: Night) -> Iterator[Old]:
    """Leave what a release of a hundred days ago would: an image, evidence, a report, a volume; and what a crash leaves."""
    commit, tree = secrets.token_hex(20), secrets.token_hex(20)
    run, service, plan = run_id(NAME, commit), night.project.service, night.project.service.deploy
    base = night.sandbox.registry + f"/{service.image.repository}"
    python = yaml.safe_load(night.sandbox.layout.platform_file.read_text())["base_images"][BASE]
    engine.ensure_image(night.engine, python, night.registry.username, night.registry.password)
    dockerfile = io.BytesIO(f"FROM {python}\nLABEL e2e={run}\n".encode())
    list(night.engine.build(fileobj=dockerfile, tag=f"{base}:{commit[:12]}", rm=True, decode=True))
    digest = pushed(night, base, commit[:12])
    key = evidence_key(tree, "toolbox", ["lint"])
    night.ledger.begin(NAME, "staging", commit, run, "refs/heads/main")
    night.ledger.update(run, tree=tree, digest=digest, image=base)
    night.ledger.record_evidence(key, "build.lint", Outcome.PASSED, run, tree, 1.0)
    reports.keep(night.ledger, run, "build.lint", {"lint.sarif": b"{}"})
    night.ledger.finish(run, Status.PASSED)
    with night.ledger.engine.begin() as connection:
        for statement in (
            "UPDATE releases SET requested_at = requested_at - :age, started_at = started_at - :age, "
            "finished_at = finished_at - :age WHERE run_id = :run",
            "UPDATE evidence SET recorded_at = recorded_at - :age WHERE run_id = :run",
        ):
            connection.execute(text(statement), {"age": timedelta(days=100), "run": run})
    volume, container, secret = (
        f"slipway-{what}" for what in (f"src-{tree[:20]}", f"{label(run)}-lint", label(run))
    )
    night.engine.create_volume(volume)
    night.engine.create_container(
        f"{base}:{commit[:12]}", command=["x"], name=container, labels={"slipway": "gate"}
    )
    vault = Vault(night.sandbox).client()
    lease = vault.secrets.database.generate_credentials(plan.migrations.credentials, mount_point="database")
    api = night.project.cluster()
    cluster.put_secret(
        api,
        plan.namespace,
        secret,
        {"a": "b"},
        labels={"slipway/purpose": "release"},
        annotations={"slipway/lease": lease["lease_id"], "slipway/run": run},
    )
    try:
        yield Old(run, digest, key, lease["lease_id"], container, secret, volume)
    finally:
        engine.remove_container(night.engine, container)
        with suppress(docker.errors.APIError):
            night.engine.remove_volume(volume)
        with suppress(docker.errors.APIError):
            night.engine.remove_image(f"{base}:{commit[:12]}")
        cluster.delete(api, "secret", plan.namespace, secret)
        night.registry.delete(service.image.repository, digest)
        with night.ledger.engine.begin() as connection:
            connection.execute(text("DELETE FROM evidence WHERE run_id = :run"), {"run": run})
            connection.execute(text("DELETE FROM releases WHERE run_id = :run"), {"run": run})


def test_one_service_fails_the_other_is_refreshed_and_what_is_past_its_days_goes(night: Night) -> None:
    deployed, vault = night.deployed(), Vault(night.sandbox).client()
    repository = night.project.service.image.repository
    with broken_record(night) as broken, old_release(night) as old:
        # all but the oldest of those that age alone removes
        needed = {one.digest for one in (deployed, *night.ledger.good_ones(NAME, "staging", 3))}
        published = {digest for _, digest, _ in refreshes.published(night.ledger, NAME)} - needed
        there = {night.registry.digest(repository, tag) for tag in night.registry.tags(repository)}
        kept = {"images": len(published & there) - 1, "workspaces_days": 0}
        state, report = night.refresh(retention=kept)
        # the one that fails stops nobody, and makes the run red
        assert (state, report["status"]) == ("failed", "errored")
        assert of(report, ABSENT)["outcome"] == "errored"
        assert of(report, ABSENT)["reason"].startswith(f"the record of {broken} has no image or no manifests")
        assert of(report)["outcome"] == "passed", of(report)
        # in the namespace of the one there is nothing that may be looked at; the other's is cleaned all the same
        assert "listing what runs have made in absent" in of(report, "leftovers")["reason"]
        assert (removed(report, "leftovers")["containers"], removed(report, "leftovers")["secrets"]) == (1, 1)
        # what is past its days is gone
        assert night.registry.digest(repository, old.digest) is None
        assert night.ledger.evidence(old.evidence) is None
        assert reports.read(night.ledger, old.run, "build.lint") == {}
        volumes = {one["Name"] for one in night.engine.volumes()["Volumes"]}
        assert old.volume not in volumes
        assert not night.engine.containers(all=True, filters={"name": old.container})
        assert cluster.kept(night.project.cluster(), "ai-generation", old.secret) is None
        leases = vault.list("sys/leases/lookup/database/creds/ai-generation-migrate") or {
            "data": {"keys": []}
        }
        assert old.lease.rpartition("/")[2] not in leases["data"]["keys"]
        told = {name: removed(report, name) for name in ("registry", "engine", "ledger")}
        left = {night.registry.digest(repository, tag) for tag in night.registry.tags(repository)}
        assert (published & there) - left == {old.digest}
        assert told["registry"]["images"] >= 1  # of all services
        assert min(told["engine"]["volumes"], told["ledger"]["evidence"], told["ledger"]["reports"]) >= 1
        # what is in use is there
        assert night.registry.digest(repository, str(deployed.digest)) == deployed.digest
        assert source_volume(str(deployed.tree)) in volumes
        assert "slipway-index-ca" in volumes
        assert night.ledger.record(old.run) is not None, "records stay"
        # of everything else that was owned by a run, the deployed service's own Secret stays, too
        assert cluster.kept(night.project.cluster(), "ai-generation", "ai-generation-database") is not None


@contextmanager
def new_base(night: Night) -> Iterator[str]:
    """Make tonight's base image another one, in the registry and in the platform file; everything is put back afterwards."""
    file = night.sandbox.layout.platform_file
    before = file.read_text()
    platform = yaml.safe_load(before)
    base = platform["base_images"][BASE]
    repository, tag = base.partition("@")[0], f"e2e-{secrets.token_hex(4)}"
    user, password = (night.registry.username, night.registry.password)
    engine.ensure_image(night.engine, base, user, password)
    dockerfile = io.BytesIO(f"FROM {base}\nLABEL e2e={tag}\n".encode())
    said = list(night.engine.build(fileobj=dockerfile, tag=f"{repository}:{tag}", rm=True, decode=True))
    digest = pushed(night, repository, tag)
    assert digest, said
    platform["base_images"][BASE] = f"{repository}@{digest}"
    try:
        file.write_text(yaml.safe_dump(platform, sort_keys=False))
        yield f"{repository}@{digest}"
    finally:
        file.write_text(before)
        night.registry.delete(repository.partition("/")[2], digest)
        with suppress(docker.errors.APIError):
            night.engine.remove_image(f"{repository}:{tag}", noprune=True)


@contextmanager
def new_setting(night: Night, old: str, new: str) -> Iterator[str]:
    """Push another value to the config repository, and nothing else; give the revision. The value before comes back."""
    night.project.configure()
    folder = night.project.folder.with_name(f"{NAME}-config")
    clone = Developer(night.sandbox, night.project.service.config.repository, folder, "config-editor")
    file = folder / "manifests/configmap.yaml"
    before = file.read_text()
    assert old in before
    try:
        file.write_text(before.replace(old, new))
        clone.commit("Change a setting")
        clone.push()
        yield clone.git("rev-parse", "HEAD").strip()
    finally:
        file.write_text(before)
        clone.commit("Change it back")
        clone.push()


def test_a_changed_setting_alone_replaces_the_pods_that_read_it(night: Night) -> None:
    before, plan = night.deployed(), night.project.service.deploy
    core = client.CoreV1Api(night.project.cluster())

    def pods() -> set[str]:
        found = core.list_namespaced_pod(
            plan.namespace, label_selector=f"app.kubernetes.io/name={plan.deployment}"
        )
        running = [
            one
            for one in found.items
            if not one.metadata.deletion_timestamp and one.status.phase == "Running"
        ]
        return {
            one.metadata.name
            for one in running
            if "ReplicaSet" in {o.kind for o in one.metadata.owner_references}
        }

    old = pods()
    with new_setting(night, "LOG_LEVEL: INFO", "LOG_LEVEL: DEBUG") as revision:
        state, report = night.refresh()
    assert state == "success", report
    after = night.deployed()
    assert (after.commit, after.digest, after.status) == (before.commit, before.digest, Status.PASSED)
    assert after.config_revision == revision != before.config_revision
    assert [one for one in of(report)["found"] if one.startswith("stale: its configuration is ")], report
    assert (
        f"Deployment/{plan.deployment}: pods are replaced: ConfigMap/{plan.deployment} changed"
        in after.plan["pods"]
    )
    new = pods()
    assert new
    assert not new & old
    # the value is in use: every pod was started after it was there, and says with which content
    said = [
        core.read_namespaced_pod(one, plan.namespace).metadata.annotations["slipway/reads"] for one in new
    ]
    (recorded,) = [reads.recorded(one) for one in after.manifests if one["kind"] == "Deployment"]
    assert [json.loads(one) for one in said] == [recorded] * len(new)
    assert core.read_namespaced_config_map(plan.deployment, plan.namespace).data["LOG_LEVEL"] == "DEBUG"


def test_new_base_image_is_released_through_the_same_stages(night: Night) -> None:
    before = night.deployed()
    with new_base(night) as base:
        state, report = night.refresh()
        assert state == "success", report
        after, service = night.deployed(), of(report)
        assert after.run_id == service["release"] != before.run_id
        assert (after.commit, after.status) == (before.commit, Status.PASSED)
        assert after.digest != before.digest
        assert [one for one in service["found"] if one.startswith(f"stale: {BASE} is ")]
        assert service["done"] == [f"released again: {after.run_id}, image {after.digest}"]
        image = night.registry.image(night.project.service.image.repository, str(after.digest))
        assert image is not None
        assert json.loads(image.labels[BASES])[BASE] == base
        assert night.project.version()["commit"] == before.commit
        # any push since then is newer than it
        assert (after.requested_at - before.requested_at) == timedelta(microseconds=1)
        # cleared as a whole, it finds the release that it asked for, and asks for no other
        known = set(refreshes.known(night.ledger, [NAME]))
        assert night.clear(report["run_id"], f"{NAME}.look") == "success"
        again = refreshes.newest(night.ledger, report["run_id"])
        assert again is not None
        assert again.report is not None
        assert of(dict(again.report))["done"] == service["done"]
        assert set(refreshes.known(night.ledger, [NAME])) == known
        assert night.deployed() == after
