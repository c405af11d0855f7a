"""From the catalog's files to services, with the checks that need more than one file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from slipway.catalog.reading import position, read, refused
from slipway.catalog.service import Service
from slipway.errors import CatalogError, Problem


def catalog_directory() -> Path:
    """Gives the folder of the catalog: SLIPWAY_CATALOG, or the `services` beside this package."""
    return Path(os.environ.get("SLIPWAY_CATALOG") or Path(__file__).parents[2] / "services")


def load_service(path: Path | str) -> Service:
    """Reads one service.

    :raises CatalogError: with place, what is wrong and the legal alternatives, for each problem in it.
    """
    path = Path(path)
    service = read(path, Service)
    if path.name != f"{service.service}.yaml":
        what = f"the file of service `{service.service}` must be called `{service.service}.yaml`"
        raise refused([Problem(str(path), *position(path, ("service",)), "service", what)])
    return service


def load_catalog(directory: Path | str | None = None) -> dict[str, Service]:
    """Reads all services of a folder (None: the catalog's own), sorted by name.

    :raises CatalogError: with every problem of every file.
    """
    directory = Path(directory) if directory is not None else catalog_directory()
    if not directory.is_dir():
        raise CatalogError(
            f"{directory} is not a folder.",
            code="catalog.folder-missing",
            remedy="Name the folder of the catalog's *.yaml files.",
        )
    return load_files(sorted(directory.glob("*.yaml")))


def load_sound() -> list[Service]:
    """Gives the catalog's services, sorted, without those whose file is wrong: their own DAG says what is."""
    sound = []
    for file in sorted(catalog_directory().glob("*.yaml")):
        try:
            sound.append(load_service(file))
        except CatalogError:
            continue
    return sound


def load_files(paths: Iterable[Path]) -> dict[str, Service]:
    """Reads these files as one catalog, as :func:`load_catalog` does."""
    services: dict[str, Service] = {}
    problems: list[Problem] = []
    owners: dict[tuple[str, str], str] = {}
    for path in paths:
        try:
            service = load_service(path)
        except CatalogError as error:
            problems += error.problems or [Problem(str(path), 0, 0, "", error.message)]
            continue
        target = (service.deploy.namespace, service.deploy.deployment)
        if (other := owners.setdefault(target, service.service)) != service.service:
            what = f"service `{other}` deploys the same Deployment {'/'.join(target)}; give each its own"
            at = position(path, ("deploy", "deployment"))
            problems.append(Problem(str(path), *at, "deploy.deployment", what))
        services[service.service] = service
    if problems:
        raise refused(problems)
    return dict(sorted(services.items()))
