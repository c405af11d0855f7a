"""What the sandbox has to know of the catalog's services: their repositories, database and namespace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from slipway_sandbox.layout import UsageError


@dataclass(frozen=True)
class Service:
    """The few facts of a catalog entry that the parts are provisioned from."""

    name: str
    repository: str
    branch: str
    config_repository: str | None
    config_branch: str
    namespace: str
    database: str | None
    migration_role: str | None

    @property
    def dag_id(self) -> str:
        """The DAG that releases it."""
        return f"release_{self.name.replace('-', '_')}"

    @property
    def owner_role(self) -> str:
        """The role that owns its database."""
        return f"{self.database}_owner"

    @property
    def app_role(self) -> str:
        """The role that the running service signs in as."""
        return f"{self.database}_app"


def load_services(folder: Path) -> list[Service]:
    """The services of the catalog, by name. Only what is needed here is read; `slipway lint` checks the rest.

    :raises UsageError: a file lacks what the parts need
    """
    services = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            entry = yaml.safe_load(path.read_text())
            migrations = entry["deploy"].get("migrations") or {}
            services.append(
                Service(
                    name=entry["service"],
                    repository=entry["source"]["repository"],
                    branch=entry["source"].get("branch", "main"),
                    config_repository=(entry.get("config") or {}).get("repository"),
                    config_branch=(entry.get("config") or {}).get("branch", "main"),
                    namespace=entry["deploy"]["namespace"],
                    database=migrations.get("database"),
                    migration_role=migrations.get("credentials"),
                )
            )
        except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{path}: cannot read the service ({error!r}): run `slipway lint`") from error
    return services
