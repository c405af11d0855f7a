"""Scan: code, dependencies, secrets, the Dockerfile, and an attack on the running service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from slipway.catalog.service import Gate
from slipway.release import given
from slipway.release.gates import SCAN as TOOLBOX
from slipway.release.gates import SCANNER, dockerfile_is
from slipway.stages import sidecar, xcom
from slipway.stages.checkout import DEPENDENCIES
from slipway.stages.container import toolbox
from slipway.stages.stage import Container, Group

if TYPE_CHECKING:
    from slipway.catalog import Service

SCAN = Group(
    id="scan",
    title="Security scan",
    tooltip="SAST, dependencies, secrets, Dockerfile, DAST",
    after=(DEPENDENCIES,),
    gates=True,
)


def advised(of: str | None = None) -> dict[str, str]:
    """Give what a scanner is told of the advisories that it has (templated).

    :param of: id of the task that says so, in a run that is no release.
    """
    kind = given.Looked if of else given.Accepted
    return {
        "SLIPWAY_ADVISORIES_MAX_AGE_DAYS": xcom.templated(kind, "advisories_max_age_days", of=of),
        "SLIPWAY_ADVISORIES_OF": xcom.templated(kind, "advisories_of", of=of),
    }


def _scanned(name: str, title: str, *arguments: Callable[[Service], str], daily: bool = False) -> Container:
    """Give a gate that looks at files. :param daily: whether its verdict depends on the day."""

    def command(service: Service) -> Sequence[str]:
        return [f"/opt/slipway/bin/{name}", *(one(service) for one in arguments)]

    def options(_service: Service) -> dict[str, Any]:
        return {"policy": "", "daily": daily, "environment": advised() if daily else {}}

    return Container(
        id=name,
        title=title,
        group=SCAN,
        needs=(given.Accepted, given.Workspace),
        image=lambda service: toolbox(SCANNER if daily else TOOLBOX),
        command=command,
        timeout_s=lambda service: getattr(service.scan, name).timeout_s,
        rules=lambda service: getattr(service.scan, name),
        options=options,
    )


SAST = _scanned("sast", "Static analysis")
VULNERABLE = _scanned(
    "dependencies",
    "Vulnerable dependencies",
    lambda service: service.source.dependencies.runtime,
    lambda service: service.source.dependencies.development,
    daily=True,  # the age of its advisories is part of the verdict
)
SECRETS = _scanned("secrets", "Committed secrets")
DOCKERFILE = _scanned("dockerfile", "Dockerfile", lambda service: service.image.dockerfile, dockerfile_is)

JUDGING = set(Gate.model_fields) - {"timeout_s"}
"""What follows from findings, and so is no part of what makes them."""

DYNAMIC = Container(
    id="dynamic",
    title="Dynamic scan",
    group=SCAN,
    needs=(given.Accepted, given.Workspace),
    image=lambda service: toolbox("toolbox-scan"),
    command=lambda service: [
        "/opt/slipway/bin/dynamic",
        f"http://127.0.0.1:{service.scan.dynamic.port}",
        service.scan.dynamic.openapi,
        *(f"{name}: {value}" for name, value in service.scan.dynamic.headers.items()),
    ],
    timeout_s=lambda service: service.scan.dynamic.timeout_s,
    rules=lambda service: service.scan.dynamic,
    options=lambda service: {
        "network": f"container:{sidecar.network_name(SCAN.id)}-service",
        "policy": sidecar.policy(service, service.scan.dynamic.services)
        + service.scan.dynamic.model_dump_json(exclude=JUDGING),
    },
)

SERVICE = sidecar.running_service(DYNAMIC)
REMOVED = sidecar.removed(DYNAMIC, SERVICE)
