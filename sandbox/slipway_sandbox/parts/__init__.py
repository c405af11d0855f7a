"""The parts, in the order of what they need."""

from __future__ import annotations

from ..part import Part
from .airflow import Airflow
from .docker import Docker
from .git import Git
from .images import Images
from .kubernetes import Kubernetes
from .network import Network
from .postgres import Postgres
from .registry import Registry
from .vault import Vault

PARTS: tuple[type[Part], ...] = (Network, Postgres, Vault, Registry, Git, Docker, Kubernetes, Images, Airflow)
