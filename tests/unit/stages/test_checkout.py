"""What checkout holds a commit to before anything is made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from slipway.catalog import Service, load_service
from slipway.catalog.words import RelativePath
from slipway.errors import PolicyFailed
from slipway.release import given, sources
from slipway.stages import checkout
from slipway.stages.checkout import CHECKOUT, DEPENDENCIES
from slipway.stages.sequence import release_of
from slipway.stages.stage import Container, Run

SERVICES = Path(__file__).parents[3] / "include/services"
[PATH] = RelativePath.__metadata__


def paths(part: BaseModel) -> Iterator[str]:
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if PATH in field.metadata:
            yield value
        elif isinstance(value, BaseModel) and name != "config":
            yield from paths(value)


def test_every_path_of_the_catalog_in_the_source_repository_is_held_to_be_no_link() -> None:
    for file in ("ai-generation.yaml", "prompt-library.yaml"):
        service = load_service(SERVICES / file)
        smoke = service.verify.smoke
        assert smoke is not None
        named = {*paths(service), smoke.path}  # which may be left out for a command
        assert {"requirements.txt", "Dockerfile", "tests/unit"} <= named
        assert named == set(checkout._read(service))


@pytest.fixture
def locks(source: Any, service: Service) -> dict[str, bytes]:
    named = service.source.dependencies
    source.content |= {named.runtime: b"a==1", named.development: b"b==2"}
    found: dict[str, bytes] = source.content
    return found


def test_commit_fills_the_volume_of_its_tree_and_makes_one_for_its_locks(
    run: Callable[..., Run], world: Any, locks: Any, accepted: given.Accepted
) -> None:
    found = CHECKOUT.run(run(CHECKOUT, accepted))
    assert found.volume == sources.source_volume(found.tree)
    assert world.of_engine.volumes[found.volume] == {f"src/{accepted.commit}"}
    assert ("prepare", found.dependencies) in world.did
    assert world.did[-1] == ("update", {"tree": found.tree})


def test_other_locks_or_another_toolbox_have_other_dependencies(
    run: Callable[..., Run], world: Any, service: Service, locks: Any, accepted: given.Accepted
) -> None:
    first = CHECKOUT.run(run(CHECKOUT, accepted)).dependencies
    assert CHECKOUT.run(run(CHECKOUT, accepted)).dependencies == first
    other = accepted.model_copy(update={"images": {**accepted.images, "toolbox-python": "other"}})
    assert CHECKOUT.run(run(CHECKOUT, other)).dependencies != first
    locks[service.source.dependencies.runtime] = b"a==2"
    assert CHECKOUT.run(run(CHECKOUT, accepted)).dependencies != first


def test_dependencies_that_are_complete_are_left_alone(
    run: Callable[..., Run], world: Any, locks: Any, accepted: given.Accepted
) -> None:
    made = CHECKOUT.run(run(CHECKOUT, accepted)).dependencies
    world.of_engine.volumes[made] = {".complete"}
    world.did.clear()
    CHECKOUT.run(run(CHECKOUT, accepted))
    assert ("prepare", made) not in world.did


def test_lock_that_the_commit_lacks_is_named(
    run: Callable[..., Run], world: Any, accepted: given.Accepted
) -> None:
    with pytest.raises(PolicyFailed, match=r"requirements.*txt is not in the repository"):
        CHECKOUT.run(run(CHECKOUT, accepted))
    assert world.of_engine.volumes == {}


def test_only_what_fetches_has_a_network(service: Service) -> None:
    order = release_of(service)
    networks = {
        one.task_id: one.operator(service, order).network  # type: ignore[attr-defined]
        for one in order.stages
        if isinstance(one, Container)
    }
    assert [name for name, mode in networks.items() if mode == "host"] == [DEPENDENCIES.task_id]
