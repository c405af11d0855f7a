"""Scan: code, dependencies, secrets, the Dockerfile, and an attack on the running service."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup

from slipway.release import given
from slipway.stages import sidecar, xcom
from slipway.stages.container import ContainerOperator, toolbox

if TYPE_CHECKING:
    from slipway.catalog import Service


def scan(service: Service) -> TaskGroup:
    """Give the group of the five gates, with the running service's setup and teardown around the last."""
    locks, plan = service.source.dependencies, service.scan
    commands = {
        "sast": ("Static analysis", ["/opt/slipway/bin/sast"], plan.sast.timeout_s),
        "dependencies": (
            "Vulnerable dependencies",
            ["/opt/slipway/bin/dependencies", locks.runtime, locks.development],
            plan.dependencies.timeout_s,
        ),
        "secrets": ("Committed secrets", ["/opt/slipway/bin/secrets"], plan.secrets.timeout_s),
        "dockerfile": (
            "Dockerfile",
            ["/opt/slipway/bin/dockerfile", service.image.dockerfile],
            plan.dockerfile.timeout_s,
        ),
    }
    with TaskGroup(
        "scan", group_display_name="Security scan", tooltip="SAST, dependencies, secrets, Dockerfile, DAST"
    ) as group:
        for name, (title, command, timeout_s) in commands.items():
            ContainerOperator(
                task_id=name,
                task_display_name=title,
                image=toolbox("toolbox-scan"),
                command=command,
                timeout_s=timeout_s,
                policy="",
                daily=name == "dependencies",  # the age of its advisories is part of the verdict
                environment={
                    "SLIPWAY_ADVISORIES_MAX_AGE_DAYS": xcom.templated(
                        given.Accepted, "advisories_max_age_days"
                    )
                },
            )
        started = sidecar.running_service(service, "scan", gate="scan.dynamic")
        dynamic = ContainerOperator(
            task_id="dynamic",
            task_display_name="Dynamic scan",
            image=toolbox("toolbox-scan"),
            command=["/opt/slipway/bin/dynamic", f"http://127.0.0.1:{plan.dynamic.port}"],
            timeout_s=plan.dynamic.timeout_s,
            network=f"container:{sidecar.network_name('scan')}-service",
            policy=sidecar.policy(service) + plan.dynamic.model_dump_json(),
        )
        started >> dynamic >> sidecar.removed("scan", started)
    return group
