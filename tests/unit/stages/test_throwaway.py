"""A throwaway database has the schema of the source, made by the migration tool once for a changelog."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import PolicyFailed, Transient
from slipway.release import given
from slipway.stages import test, throwaway
from slipway.stages.container_run import TIMED_OUT
from slipway.stages.stage import Run


def started(world: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(one[1].rpartition("-")[2], one[2]) for one in world.did if one[0] == "start"]


@pytest.fixture
def database(run: Callable[..., Run], accepted: given.Accepted, workspace: given.Workspace) -> Run:
    return run(test.DATABASE, accepted, workspace)


def test_database_gets_the_schema_of_the_source_on_a_network_of_its_own(database: Run, world: Any) -> None:
    test.DATABASE.run(database)
    assert [name for name, _ in started(world)] == ["database", "schema", "database"]
    [network] = world.of_engine.networks
    assert network.endswith("-test")
    for _, options in started(world):
        assert options["network_mode"] == network
        assert options["labels"]["slipway.run"] == database.run_id
    schema = dict(started(world))["schema"]
    assert database.service.deploy.migrations
    assert database.service.deploy.migrations.changelog in schema["command"]


@pytest.mark.parametrize(
    ("code", "error", "says"),
    [
        (1, PolicyFailed, "cannot be applied to an empty database"),
        (TIMED_OUT, PolicyFailed, "on an empty database"),
        (3, Transient, "the throwaway database did not take"),
    ],
)
def test_changelog_that_does_not_apply_is_the_services_fault_unless_the_database_gave_way(
    database: Run, world: Any, code: int, error: type[Exception], says: str
) -> None:
    world.of_engine.exits["schema"] = code
    with pytest.raises(error, match=says):
        test.DATABASE.run(database)


def sources(options: dict[str, Any]) -> dict[str, str | None]:
    return {mount["Target"]: mount["Source"] for mount in options["mounts"]}


def test_schema_is_made_in_a_volume_and_what_a_gate_gets_is_a_copy_in_memory(
    database: Run, world: Any
) -> None:
    test.DATABASE.run(database)
    (_, made), _, (_, given_) = started(world)
    [volume] = world.of_engine.volumes
    assert sources(made)["/var/lib/postgresql"] == volume
    assert made["environment"]["POSTGRES_ANEW"] == "1", "what a killed attempt left is no part of it"
    assert (sources(given_)["/var/lib/postgresql"], sources(given_)["/seed"]) == (None, volume)
    assert next(one for one in given_["mounts"] if one["Target"] == "/seed")["ReadOnly"]
    assert given_["environment"]["POSTGRES_SEED"] == "/seed/data"
    assert next(one for one in world.did if one[0] == "remove")[1].endswith("-database"), "the first is ended"


def test_migration_tool_does_not_run_again_for_the_same_changelog(
    run: Callable[..., Run], world: Any, source: Any, accepted: given.Accepted, workspace: given.Workspace
) -> None:
    def again(**changes: Any) -> list[str]:
        world.did.clear()
        # as the engine does it: the volume is complete once it was filled
        for files in world.of_engine.volumes.values():
            files.add(".complete")
        test.DATABASE.run(run(test.DATABASE, accepted.model_copy(update=changes), workspace))
        return [name for name, _ in started(world)]

    entry = SimpleNamespace(path="migrations/0001.sql", mode="100644", object="1" * 40)
    code = SimpleNamespace(path="src/app.py", mode="100644", object="2" * 40)
    source.entries = (entry, code)
    whole = ["database", "schema", "database"]
    assert again() == whole
    assert again() == ["database"]
    source.entries = (entry, SimpleNamespace(**{**vars(code), "object": "3" * 40}))
    assert again() == ["database"], "only code has changed"
    source.entries = (SimpleNamespace(**{**vars(entry), "object": "4" * 40}), code)
    assert again() == whole
    assert again(images={**accepted.images, "toolbox-migrations": "registry/other@sha256:2"}) == whole


def test_changelog_that_fails_leaves_nothing_that_is_taken_for_a_schema(database: Run, world: Any) -> None:
    world.of_engine.exits["schema"] = 1
    with pytest.raises(PolicyFailed):
        test.DATABASE.run(database)
    assert list(world.of_engine.volumes.values()) == [set()]


def test_service_without_migrations_gets_an_empty_database(
    run: Callable[..., Run],
    world: Any,
    changed: Callable[..., Any],
    accepted: given.Accepted,
    workspace: given.Workspace,
) -> None:
    throwaway.start(
        run(test.DATABASE, accepted, workspace, of=changed("deploy", migrations=None)),
        accepted,
        workspace,
        "net",
    )
    assert [name for name, _ in started(world)] == ["database"]
    assert world.of_engine.volumes == {}
