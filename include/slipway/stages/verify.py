"""Verify: a smoke test from inside the cluster, and health that holds: readiness and the released commit."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue, TaskGroup, get_current_context

from slipway.adapters import cluster
from slipway.errors import PolicyFailed
from slipway.stages import connections
from slipway.stages.image import PUSHED
from slipway.stages.pod import ReleasePod
from slipway.stages.sensor import StageSensor

if TYPE_CHECKING:
    from slipway.catalog import Service


def verify(service: Service) -> TaskGroup:
    """Give the group: the smoke test if the service has one, then the health sensor."""
    plan, health = service.verify, service.verify.health
    namespace = service.deploy.namespace

    def healthy() -> PokeReturnValue:
        ti = get_current_context()["ti"]
        commit, digest = ti.xcom_pull("accept")["commit"], ti.xcom_pull("image.push")["digest"]
        api, deadline = connections.cluster(), time.monotonic() + health.soak_s
        asked = 0
        while True:
            state = cluster.rollout(api, namespace, service.deploy.deployment, digest)
            status, body = cluster.get(api, namespace, health.service, health.port, health.ready)
            if not state.complete or status != 200:
                said = body[:200].decode(errors="replace")
                waits_for = f"{state.message}; {health.ready} answers {status} {said}"
                print(f"not healthy yet: {waits_for}")
                return PokeReturnValue(False, waits_for)
            status, body = cluster.get(api, namespace, health.service, health.port, health.version)
            reported = _commit(body) if status == 200 else None
            if reported != commit:
                raise PolicyFailed(
                    f"{health.version} answers {status} with commit {reported}, but {commit} was released",
                    remedy="report SLIPWAY_COMMIT on the version endpoint",
                )
            asked += 1
            if time.monotonic() >= deadline:
                print(f"healthy: asked {asked} times in {health.soak_s} s, {state.message}")
                return PokeReturnValue(True, {"pods": list(state.pods), "image_ids": list(state.image_ids)})
            time.sleep(0.3)

    with TaskGroup("verify", group_display_name="Verify", tooltip="Smoke test, health") as group:
        checked = StageSensor(
            task_id="health", task_display_name="Healthy", python_callable=healthy, timeout_s=health.timeout_s
        )
        if plan.smoke:
            smoke = ReleasePod(
                task_id="smoke",
                task_display_name="Smoke test",
                service=service,
                image=PUSHED,
                command=["/opt/venv/bin/python", f"/app/{plan.smoke.path}"],
                environment={
                    "BASE_URL": f"http://{health.service}:{health.port}",
                    "EXPECTED_COMMIT": "{{ ti.xcom_pull('accept')['commit'] }}",
                },
                timeout_s=plan.smoke.timeout_s,
            )
            smoke >> checked
    return group


def _commit(body: bytes) -> Any:
    try:
        return json.loads(body)["commit"]
    except (ValueError, KeyError, TypeError):
        return None
