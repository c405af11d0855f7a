"""Build: does it compile, is it clean, do its types hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup

from slipway.stages.container import ContainerOperator, toolbox

if TYPE_CHECKING:
    from slipway.catalog import Service


def build(service: Service) -> TaskGroup:
    """Give the group of three gates."""
    titles = {"compile": "Compile", "lint": "Lint", "analyze": "Analyze types"}
    with TaskGroup("build", group_display_name="Build", tooltip="Compile, lint, static analysis") as group:
        for name, title in titles.items():
            ContainerOperator(
                task_id=name,
                task_display_name=title,
                image=toolbox(f"toolbox-{service.toolbox}"),
                command=[f"/opt/slipway/bin/{name}"],
                timeout_s=getattr(service.build, name).timeout_s,
                policy="",
            )
    return group
