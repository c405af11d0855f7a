"""The image's tag and digest: what is in the registry counts only if it is what this release builds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from slipway.adapters.registry import Image, Registry
from slipway.catalog import Service
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.release import given
from slipway.stages.gate import GATE
from slipway.stages.image import BUILT, INPUTS, PUSH, SBOM, _tag, published
from slipway.stages.sequence import release_of
from slipway.stages.stage import Run

COMMIT, KEY = "0123456789ab" + 28 * "0", "fedcba9876543210fedc"
ONE, INDEX = f"sha256:{1:064}", f"sha256:{2:064}"


def image(**changes: Any) -> Image:
    return Image(
        **{"digest": ONE, "name_digest": ONE, "platform": "linux/amd64", "labels": {INPUTS: KEY}, "size": 1}
        | changes
    )


class Holding:
    """A registry that has one image, under every tag, or none."""

    def __init__(self, there: Image | None) -> None:
        self.there = there

    def image(self, repository: str, reference: str) -> Image | None:
        return self.there


@pytest.mark.parametrize(
    ("there", "tag"),
    [
        (None, "0123456789ab"),
        (image(), "0123456789ab"),
        (image(labels={INPUTS: "another"}), "0123456789ab-fedcba98"),
        (image(labels={}), "0123456789ab-fedcba98"),
        (image(name_digest=INDEX), "0123456789ab-fedcba98"),
    ],
    ids=["none", "ours", "of another base", "without labels", "an index"],
)
def test_tag_of_what_was_made_from_something_else_is_left_alone(there: Image | None, tag: str) -> None:
    assert _tag(cast(Registry, Holding(there)), "web", COMMIT, KEY) == tag


def test_digest_is_that_of_the_single_image_of_the_platform() -> None:
    assert published(image(), "web:1", KEY, "linux/amd64", ONE) == ONE
    assert published(image(), "web:1", KEY, "linux/amd64") == ONE


@pytest.mark.parametrize(
    ("there", "pushed", "says"),
    [
        (image(name_digest=INDEX), INDEX, "web:1 is an index of several manifests"),
        (image(platform="linux/arm64"), ONE, "an image for linux/arm64, and the cluster runs linux/amd64"),
        (image(labels={}), ONE, "not what this release has built"),
        (image(), INDEX, "not what this release has built"),
    ],
)
def test_anything_else_is_not_released(there: Image, pushed: str, says: str) -> None:
    with pytest.raises(Permanent, match=says):
        published(there, "web:1", KEY, "linux/amd64", pushed)


BUILT_ = given.Built(
    repository="registry:5000/ai-generation", tag="aaaaaaaaaaaa", inputs=KEY, id="sha256:built"
)


@pytest.fixture
def dockerfile(source: Any, service: Service) -> None:
    source.content[service.image.dockerfile] = b"FROM base"


def test_image_is_built_of_the_commit_on_the_base_that_was_accepted(
    run: Callable[..., Run],
    world: Any,
    accepted: given.Accepted,
    workspace: given.Workspace,
    dockerfile: None,
) -> None:
    found = BUILT.run(run(BUILT, accepted, workspace))
    [(_, told)] = world.did
    assert found.id == "sha256:built"
    assert told["tag"] == f"{found.repository}:{found.tag}" == "registry:5000/ai-generation:aaaaaaaaaaaa"
    assert told["arguments"]["BASE_PYTHON"] == accepted.images["base-python"]
    assert told["arguments"]["SOURCE_DATE_EPOCH"] == "7"
    assert told["labels"][INPUTS] == found.inputs


def test_image_that_the_registry_has_is_not_built_again(
    run: Callable[..., Run],
    world: Any,
    accepted: given.Accepted,
    workspace: given.Workspace,
    dockerfile: None,
) -> None:
    inputs = BUILT.run(run(BUILT, accepted, workspace)).inputs
    world.did.clear()
    world.of_registry.images["aaaaaaaaaaaa"] = image(labels={INPUTS: inputs})
    again = BUILT.run(run(BUILT, accepted, workspace))
    assert (again.id, again.inputs) == (None, inputs)
    assert world.did == []


def test_commit_without_the_dockerfile_is_at_fault(
    run: Callable[..., Run], world: Any, accepted: given.Accepted, workspace: given.Workspace
) -> None:
    with pytest.raises(PolicyFailed, match="Dockerfile is not in the repository"):
        BUILT.run(run(BUILT, accepted, workspace))


def test_pushed_image_is_on_record_by_the_registrys_digest(run: Callable[..., Run], world: Any) -> None:
    engine = world.of_engine

    def kept(repository: str, tag: str, username: str, password: str) -> str:
        world.of_registry.images[tag] = image()
        world.did.append(("push", f"{repository}:{tag}"))
        return ONE

    engine.push = kept
    found = PUSH.run(run(PUSH, BUILT_))
    assert (found.image, found.digest) == (f"{BUILT_.repository}@{ONE}", ONE)
    assert [one[0] for one in world.did] == ["exclusive", "tag", "push", "update", "ready"]
    world.did.clear()
    assert PUSH.run(run(PUSH, BUILT_)) == found  # a second try pushes nothing
    assert [one[0] for one in world.did] == ["exclusive", "update", "ready"]


def test_push_that_the_registry_does_not_keep_is_tried_again(run: Callable[..., Run], world: Any) -> None:
    with pytest.raises(Transient, match="was pushed, and the registry does not have it"):
        PUSH.run(run(PUSH, BUILT_))
    assert ("ready", "ai-generation.aaaaaaaaaaaa") not in world.did


def test_image_comes_after_the_gate_and_its_contents_are_listed_before_it_is_pushed(service: Service) -> None:
    order = release_of(service)
    assert GATE in order.earlier(BUILT)
    assert {BUILT, SBOM} <= order.earlier(PUSH)
