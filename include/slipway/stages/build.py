"""Build: does it compile, is it clean, do its types hold."""

from __future__ import annotations

from typing import Any

from slipway.release import given
from slipway.stages.checkout import DEPENDENCIES
from slipway.stages.container import toolbox
from slipway.stages.stage import Container, Group

BUILD = Group(
    id="build",
    title="Build",
    tooltip="Compile, lint, static analysis",
    after=(DEPENDENCIES,),
    gates=True,
)


def _gate(name: str, title: str, **more: Any) -> Container:
    return Container(
        id=name,
        title=title,
        group=BUILD,
        needs=(given.Accepted, given.Workspace),
        image=lambda service: toolbox(f"toolbox-{service.toolbox}"),
        command=lambda service: [f"/opt/slipway/bin/{name}"],
        timeout_s=lambda service: getattr(service.build, name).timeout_s,
        options=lambda service: {"policy": ""},
        **more,
    )


COMPILE, LINT, ANALYZE = (
    _gate("compile", "Compile"),
    _gate("lint", "Lint", rules=lambda service: service.build.lint),
    _gate("analyze", "Analyze types", rules=lambda service: service.build.analyze),
)
