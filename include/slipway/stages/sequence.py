"""All stages of a release: the modules that declare them, one line each.

What comes before what they say themselves. The order here is that in which they are shown, and of several that failed side by
side the first decides how the release ended. A module comes after those whose stages it names.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from slipway.stages.flow import Flow, flow
from slipway.stages.stage import Stage

if TYPE_CHECKING:
    from slipway.catalog import Service

MODULES = (
    "accept",
    "checkout",
    "known",
    "build",
    "test",
    "scan",
    "gate",
    "image",
    "lane",
    "config",
    "infrastructure",
    "pending",
    "plan",
    "apply",
    "secrets",
    "rollout",
    "migrate",
    "health",
    "smoke",
    "contract",
    "prune",
    "verified",
    "rollback",
    "report",
)


def _declared() -> dict[Stage, None]:
    """Give the stages in order: of those that a module names, the others were declared by the modules before it."""
    modules = [import_module(f"slipway.stages.{name}") for name in MODULES]
    # isinstance would ask a module that is imported on first use for its class, and so import it
    return {one: None for module in modules for one in vars(module).values() if issubclass(type(one), Stage)}


STAGES: tuple[Stage, ...] = tuple(_declared())


def release_of(service: Service) -> Flow:
    """Give the stages of a service's release, in their order."""
    return flow(service, STAGES)
