"""Verify: a smoke test from inside the cluster, and health that holds: readiness and the released commit."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import PokeReturnValue, TaskGroup, get_current_context

from slipway.adapters import cluster
from slipway.errors import PolicyFailed
from slipway.release import given
from slipway.release.schema import CONTRACT
from slipway.stages import connections, lanes, migrations, xcom
from slipway.stages.deploy import GOES_ON, inventory
from slipway.stages.image import PUSHED
from slipway.stages.outcome import stage
from slipway.stages.pod import ReleasePod
from slipway.stages.sensor import StageSensor, Waits, on_rollout

if TYPE_CHECKING:
    from slipway.catalog import Service


def verify(service: Service) -> TaskGroup:
    """Give the group: the smoke test if the service has one, then the health sensor."""
    plan, health = service.verify, service.verify.health
    well: list[float] = []  # when it was looked at and was well, since it last was not

    def healthy() -> PokeReturnValue:
        ti = get_current_context()["ti"]
        commit, digest = xcom.take(ti, given.Accepted).commit, xcom.take(ti, given.Pushed).digest
        state, lacks = look(connections.cluster(), service, digest, commit)
        if lacks:
            well.clear()
            return PokeReturnValue(False, lacks)
        well.append(time.monotonic())
        if well[-1] - well[0] < health.soak_s:
            return PokeReturnValue(
                False, Waits(f"well, which must hold for {health.soak_s} s", code="health.not-held")
            )
        print(f"healthy: asked {len(well)} times in {health.soak_s} s, {state.message}")
        return PokeReturnValue(True, given.Healthy(pods=state.pods, image_ids=state.image_ids))

    with TaskGroup("verify", group_display_name="Verify", tooltip="Smoke test, health") as group:
        checked = StageSensor(
            task_id="health",
            task_display_name="Healthy",
            python_callable=healthy,
            timeout_s=health.timeout_s,
            poke_interval=0.3,
        )
        # the leaf by which Airflow calls the run green or red: what rolls back stands behind the others, and may be green
        # though they are red. It runs in no process.
        passed = EmptyOperator(task_id="passed", task_display_name="Verified", trigger_rule=GOES_ON)
        if service.deploy.migrations and CONTRACT in migrations.phases(service):
            needed = _contract_needed()
            contract = migrations.UpdatePod(
                task_id="contract", task_display_name="Migrate (contract)", service=service, phase=CONTRACT
            )
            checked >> needed >> [contract, passed]
            contract >> passed
        else:
            checked >> passed
        # only now: until here an old pod that starts again, or a rollback, may need what the release has no more
        checked >> _prune(service) >> passed
        if plan.smoke:
            smoke = ReleasePod(
                task_id="smoke",
                task_display_name="Smoke test",
                service=service,
                image=PUSHED,
                command=["/opt/venv/bin/python", f"/app/{plan.smoke.path}"],
                environment={
                    "BASE_URL": f"http://{health.service}:{health.port}",
                    "EXPECTED_COMMIT": xcom.templated(given.Accepted, "commit"),
                },
                timeout_s=plan.smoke.timeout_s,
            )
            smoke >> checked
    return group


def _prune(service: Service) -> Any:
    @stage(task_id="prune", task_display_name="Remove what is no longer released", pool="slipway_cluster")
    def prune() -> given.Pruned:
        context = get_current_context()
        lanes.held(context)
        record = connections.ledger().record(context["dag_run"].run_id)
        assert record is not None
        done = cluster.prune(connections.cluster(), **inventory(service, record))
        print("\n".join(done) or "nothing of earlier releases is left over")
        return given.Pruned(removed=done)

    return prune()


def _contract_needed() -> Any:
    @stage(kind="branch", task_id="migrations", task_display_name="Anything to take away?")
    def contract_needed() -> str:
        if migrations.wanted(CONTRACT, xcom.take(get_current_context()["ti"], given.Planned)):
            print("what nothing needs any more is taken away, now that the new version is verified")
            return "verify.contract"
        print("no contract changesets are planned")
        return "verify.passed"

    return contract_needed()


def look(api: Any, service: Service, digest: str, commit: str) -> tuple[cluster.Rollout, Waits | None]:
    """Look once whether a service is well: its pods, what it answers, and as which commit; give what it lacks, if anything.

    A single look is no verdict: a request may meet a pod that is going away, or one that is not quite there.

    :raises SlipwayError: if the rollout has come to an end that no wait changes.
    """
    plan, health = service.deploy, service.verify.health
    state = cluster.rollout(api, plan.namespace, plan.deployment, digest, timeout_s=plan.rollout.timeout_s)
    if not state.complete:
        return state, on_rollout(state)
    status, body = cluster.get(api, plan.namespace, health.service, health.port, health.ready)
    if status != 200:
        said = body[:200].decode(errors="replace")
        return state, Waits(f"{health.ready} answers {status} {said}", PolicyFailed, code="health.not-ready")
    return state, reports(api, service, commit)


def reports(api: Any, service: Service, commit: str) -> Waits | None:
    """Ask once as which commit a service answers; give what it lacks if that is another."""
    health = service.verify.health
    status, body = cluster.get(api, service.deploy.namespace, health.service, health.port, health.version)
    if status == 200 and commit_of(body) == commit:
        return None
    reported = commit_of(body) if status == 200 else None
    return Waits(
        f"{health.version} answers {status} with commit {reported}, but {commit} was released",
        PolicyFailed,
        "report SLIPWAY_COMMIT on the version endpoint",
        code="health.other-commit",
    )


def commit_of(body: bytes) -> Any:
    """Give the commit that the body of a version endpoint names; None if it names none."""
    try:
        return json.loads(body)["commit"]
    except (ValueError, KeyError, TypeError):
        return None
