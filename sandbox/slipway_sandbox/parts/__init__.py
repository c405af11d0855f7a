"""The parts, in the order of what they need."""

from __future__ import annotations

from slipway_sandbox.part import Part
from slipway_sandbox.parts.airflow import Airflow
from slipway_sandbox.parts.docker import Docker
from slipway_sandbox.parts.forge import Forge
from slipway_sandbox.parts.git import Git
from slipway_sandbox.parts.images import Images
from slipway_sandbox.parts.kubernetes import Kubernetes
from slipway_sandbox.parts.network import Network
from slipway_sandbox.parts.packages import Packages
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.parts.registry import Registry
from slipway_sandbox.parts.vault import Vault

PARTS: tuple[type[Part], ...] = (
    Network, Postgres, Vault, Registry, Git, Docker, Kubernetes, Images, Packages, Airflow, Forge,
)  # fmt: skip
