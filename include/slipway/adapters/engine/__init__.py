"""The Docker engine: volumes for sources and dependencies, sidecars on private networks, reports out of containers, images.

Names of what is made here begin with ``slipway-`` and end with a content hash (shared, kept) or a run (owned, removed).
Everything is given to the engine as a stream: it may run on another machine.
"""

from slipway.adapters.engine.builds import Base, Made, Place, Recipe, build
from slipway.adapters.engine.containers import (
    BOUNDS,
    SCRATCH,
    UID,
    remove_container,
    resolver,
    start,
    wait_exit,
    wait_until,
)
from slipway.adapters.engine.images import ensure_image, image_exists
from slipway.adapters.engine.networks import network, networks_of, remove_network
from slipway.adapters.engine.output import LOG_HEAD, LOG_TAIL, bounded, log_tail
from slipway.adapters.engine.packages import package_network
from slipway.adapters.engine.refusals import APIClient, explained
from slipway.adapters.engine.report_files import REPORT_LIMIT, REPORTS_LIMIT, reports
from slipway.adapters.engine.storage import Stored, of_runs, prune_builds, remove, stored
from slipway.adapters.engine.volumes import archive, fill_volume, has_file, prepare_volume, remove_volume

__all__ = [
    "BOUNDS",
    "LOG_HEAD",
    "LOG_TAIL",
    "REPORTS_LIMIT",
    "REPORT_LIMIT",
    "SCRATCH",
    "UID",
    "APIClient",
    "Base",
    "Made",
    "Place",
    "Recipe",
    "Stored",
    "archive",
    "bounded",
    "build",
    "ensure_image",
    "explained",
    "fill_volume",
    "has_file",
    "image_exists",
    "log_tail",
    "network",
    "networks_of",
    "of_runs",
    "package_network",
    "prepare_volume",
    "prune_builds",
    "remove",
    "remove_container",
    "remove_network",
    "remove_volume",
    "reports",
    "resolver",
    "start",
    "stored",
    "wait_exit",
    "wait_until",
]
