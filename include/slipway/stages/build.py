"""Build: does it compile, is it clean, do its types hold."""

from __future__ import annotations

from typing import Any

from slipway.release import given
from slipway.stages import commands
from slipway.stages.checkout import DEPENDENCIES
from slipway.stages.stage import Container, Group

BUILD = Group(
    id="build",
    title="Build",
    tooltip="Compile, lint, static analysis",
    after=(DEPENDENCIES,),
    gates=True,
)


def _gate(name: str, title: str, **more: Any) -> Container:
    return commands.gate(BUILD, name, title, needs=(given.Accepted, given.Workspace), **more)


COMPILE, LINT, ANALYZE = (
    _gate("compile", "Compile"),
    _gate("lint", "Lint", rules=lambda service: service.build.lint),
    _gate("analyze", "Analyze types", rules=lambda service: service.build.analyze),
)
