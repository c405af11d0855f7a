"""The nightly refresh of one service: look, check again, release what is stale, re-apply what has drifted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup

from slipway.errors import Transient
from slipway.release import given
from slipway.release.gates import SCANNER
from slipway.stages import checkout, xcom
from slipway.stages.again import again
from slipway.stages.drift import drift
from slipway.stages.flow import flow
from slipway.stages.inspection import look, looked
from slipway.stages.operators import compose
from slipway.stages.outcome import stage
from slipway.stages.scan import VULNERABLE, advised
from slipway.stages.stage import ALWAYS, Container, Group, Run, Stage, Step

if TYPE_CHECKING:
    from pathlib import Path

    from slipway.catalog import Service


def _check_out(run: Run, found: given.Looked) -> given.CheckedOut:
    made = checkout.workspace(run.world, run.service, found.commit, found.images)
    return given.CheckedOut(**made.show())


def stages_of(service: Service) -> tuple[Stage, ...]:
    """Give the stages of a service's refresh, in their order."""
    group = Group(id=service.service, title=service.title, tooltip=f"Refresh {service.title}")
    first = look(group)
    sources = Step(
        id="workspace",
        title="Check out what is deployed",
        group=group,
        after=(first,),
        asks=(given.Looked,),
        gives=given.CheckedOut,
        read=looked,
        act=_check_out,
    )
    locks = service.source.dependencies
    checked = Container(
        id="dependencies",
        title="Vulnerable dependencies",
        group=group,
        after=(sources,),
        needs=(given.Looked, given.CheckedOut),
        image=lambda _service: xcom.templated(given.Looked, "images", SCANNER, of=first.task_id),
        command=lambda _service: ["/opt/slipway/bin/dependencies", locks.runtime, locks.development],
        timeout_s=lambda service: service.scan.dependencies.timeout_s,
        rules=lambda service: service.scan.dependencies,
        options=lambda _service: {
            "judged_as": VULNERABLE.task_id,
            "workspace": sources.task_id,
            "environment": advised(first.task_id),
        },
    )
    released, ended = again(group, checked)
    return (first, sources, checked, released, ended, *drift(group, ended))


def service_group(service: Service) -> TaskGroup:
    """Give the group of a service's refresh."""
    [group] = compose(service, flow(service, stages_of(service)))
    return group


def broken_group(file: Path) -> TaskGroup:
    """Give the group of a service whose file in the catalog is wrong: its only task says what is."""
    with TaskGroup(file.stem, tooltip=f"{file.name} cannot be read") as group:

        @stage(task_id="look", task_display_name="Look", trigger_rule=ALWAYS)
        def look() -> None:
            from slipway.catalog import load_service

            load_service(file)
            raise Transient(
                f"{file} has been mended since this run began",
                code="catalog.mended-meanwhile",
                remedy="clear the run",
            )

        look()
    return group
