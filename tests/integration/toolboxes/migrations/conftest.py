"""A throwaway server and a box for the program, both of one file's tests; a database of each test's own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from integration.toolboxes.migrations.program import ENGINES, POD, Changelog, Postgres, Toolbox, throwaway


@pytest.fixture(scope="module")
def server(engine: Any) -> Iterator[str]:
    with throwaway(engine) as name:
        yield name


@pytest.fixture(scope="module")
def box(engine: Any, server: str) -> str:
    """A container that is as hardened as a pod, on the server's network, and waits for runs."""
    tmpfs = ("--tmpfs", "/work:mode=1777", "--tmpfs", "/run/slipway:mode=1777")
    return str(
        engine.start(
            "toolbox-migrations",
            *("--hostname", POD, *tmpfs, "-e", "RESULT=/run/slipway/result.json"),
            network=Postgres(engine, server, "postgres").network,
            command=("sleep", "infinity"),
        )
    )


@pytest.fixture
def postgres(engine: Any, server: str) -> Postgres:
    made = Postgres(engine, server, f"t{uuid.uuid4().hex[:12]}")
    password = str(made.credentials()["password"]).replace("'", "''")
    made.sql(f"create role {made.name} login password '{password}'", "postgres")
    made.sql(f"create database {made.name} owner {made.name}", "postgres")
    made.sql(f"create schema test authorization {made.name} create table control (slow bool)")
    return made


@pytest.fixture
def toolbox(engine: Any, postgres: Postgres, box: str) -> Toolbox:
    return Toolbox(engine, postgres, box)


@pytest.fixture(params=ENGINES)
def changelog(request: pytest.FixtureRequest) -> Changelog:
    return Changelog(request.param)
