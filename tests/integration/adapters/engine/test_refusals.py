"""A real engine that is away, or refuses."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest

from slipway.adapters import engine as adapter
from slipway.errors import Permanent, Transient

Build = Callable[..., tuple[adapter.Made, list[str]]]


def test_dead_engine_is_transient(build: Build, python: str, tmp_path: Path) -> None:
    client = docker.APIClient(base_url=f"unix://{tmp_path}/nobody.sock", version="1.41", timeout=5)
    with pytest.raises(Transient, match="docker info"):
        adapter.remove_container(client, "x")
    with pytest.raises(Transient, match="docker info"):
        build("", client=client)
    with pytest.raises(Transient):
        adapter.image_exists(client, python)


def test_what_the_engine_refuses_is_permanent(engine: Any, unique: str, python: str) -> None:
    with pytest.raises(Permanent):
        adapter.start(engine, unique, python, network_mode="none", command=["x"], memory="1b")
