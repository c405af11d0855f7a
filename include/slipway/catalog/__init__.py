"""The catalog: what each service is, kept outside the pushed repositories, and the platform under them."""

from slipway.catalog.loading import catalog_directory, load_catalog, load_files, load_service, load_sound
from slipway.catalog.platform import Platform, load_platform
from slipway.catalog.refresh import Refresh, Retention, load_refresh, refresh_file, retention_of
from slipway.catalog.service import Service

__all__ = [
    "Platform",
    "Refresh",
    "Retention",
    "Service",
    "catalog_directory",
    "load_catalog",
    "load_files",
    "load_platform",
    "load_refresh",
    "load_service",
    "load_sound",
    "refresh_file",
    "retention_of",
]
