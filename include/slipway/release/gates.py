"""Which program a gate runs, by the catalog: in a release, and when a working copy is tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.catalog import Service
    from slipway.catalog.service import Commanded

PROGRAMS = "/opt/slipway/bin"
SCAN, SCANNER = "toolbox-scan", "scanner"
"""The toolbox that scans, and the name by which a release has it with the advisories of the day."""
BUILDS = "SLIPWAY_BUILDS"
"""Variable of the step that fetches: it may build packages, as its network leads to the proxies alone."""


def command(stage: str, said: Commanded, *arguments: str) -> list[str]:
    """Give the argument list of a stage of build or test: the catalog's command, or the stack's own.

    :param stage: its id within its group, by which the stack's toolbox has a program.
    :param said: what the catalog says of it. :param arguments: of the stack's own program.
    """
    if said.command is None:
        return [f"{PROGRAMS}/{stage}", *arguments]
    options = {"--folder": said.folder, "--report": said.report}
    given = [part for name, value in options.items() if value for part in (name, value)]
    return [f"{PROGRAMS}/command", stage, *given, "--", *said.command]


def fetch(service: Service) -> list[str]:
    """Give the argument list of what fetches the dependencies."""
    locks = service.source.dependencies
    return [f"{PROGRAMS}/fetch-dependencies", locks.runtime, locks.development]


@dataclass(frozen=True)
class Gate:
    """A gate that needs nothing beside it.

    :param toolbox: the image's name in the platform file.
    """

    stage: str
    toolbox: str
    command: Sequence[str]
    timeout_s: int
    environment: Mapping[str, str] = field(default_factory=dict)


def dockerfile_is(service: Service) -> str:
    """Give whether the Dockerfile must be there, as the gate is told."""
    return "named" if service.image.names_dockerfile else "if-there"


def alone(service: Service, advisories_max_age_days: int, advisories_of: str = "") -> tuple[Gate, ...]:
    """Give the gates of a service that need nothing beside them, in a release's order.

    :param advisories_of: the ecosystems that the platform names a source of advisories of, with spaces between.
    """
    stack, scan, locks = service.toolbox, service.scan, service.source.dependencies
    build, unit, integration = service.build, service.test.unit, service.test.integration
    said: list[tuple[str, str, Commanded, tuple[str, ...]]] = [
        *(("build", one, getattr(build, one), ()) for one in ("compile", "lint", "analyze")),
        ("test", "unit", unit, (unit.path,)),
    ]
    if not integration.database and not integration.services:
        said.append(("test", "integration", integration, (integration.path,)))
    own = [
        Gate(f"{group}.{name}", stack, command(name, one, *given), one.timeout_s, one.environment)
        for group, name, one, given in said
        if one.left_out is None
    ]
    files = {
        "sast": (),
        "dependencies": (locks.runtime, locks.development),
        "secrets": (),
        "dockerfile": (service.image.dockerfile, dockerfile_is(service)),
    }
    advised = {
        "SLIPWAY_ADVISORIES_MAX_AGE_DAYS": str(advisories_max_age_days),
        "SLIPWAY_ADVISORIES_OF": advisories_of,
    }
    scans = [
        Gate(
            f"scan.{one}",
            SCANNER if one == "dependencies" else SCAN,
            [f"{PROGRAMS}/{one}", *given],
            getattr(scan, one).timeout_s,
            advised if one == "dependencies" else {},
        )
        for one, given in files.items()
    ]
    return (*own, *scans)
