"""The image's tag and digest: what is in the registry counts only if it is what this release builds."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from slipway.adapters.engine import Made
from slipway.adapters.registry import Image, Registry
from slipway.catalog import Service
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.release import given
from slipway.stages.checkout import CHECKOUT
from slipway.stages.gate import GATE
from slipway.stages.image import BASES, BUILT, INPUTS, PUSH, SBOM, SCANNED, _tag, contents_of, published
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
    repository="registry:5000/ai-generation",
    tag="aaaaaaaaaaaa",
    inputs=KEY,
    digest=ONE,
    volume="slipway-image-1",
)
PUBLIC = "registry:5000/slipway/library-python@sha256:" + 64 * "3"


@pytest.fixture
def dockerfile(source: Any, service: Service, world: Any) -> None:
    text = (
        "ARG BASE_PYTHON\nARG WHEELS\nFROM ${WHEELS} AS wheels\nFROM python:3.11-slim\nFROM ${BASE_PYTHON}\n"
    )
    source.content[service.image.dockerfile] = text.encode()
    for name in (PUBLIC, "registry/base-python@sha256:1"):
        digest = name.partition("@")[2]
        world.of_registry.images[digest] = image(
            digest=digest, name_digest=digest, layers=("sha256:a-layer",)
        )


@pytest.fixture
def accepted(accepted: given.Accepted) -> given.Accepted:
    return accepted.model_copy(update={"bases": {"python:3.11-slim": PUBLIC}})


def test_image_is_built_of_the_commit_on_what_was_accepted_for_the_names_in_its_dockerfile(
    run: Callable[..., Run],
    world: Any,
    accepted: given.Accepted,
    workspace: given.Workspace,
    dockerfile: None,
) -> None:
    found = BUILT.run(run(BUILT, accepted, workspace))
    assert found.base_layers == "sha256:a-layer"
    built = [one for one in world.did if one[0] != "pull"]
    assert [one[0] for one in built] == ["exclusive", "build"]
    _, place, recipe, told = built[1]
    assert (found.digest, found.volume) == ("sha256:built", f"slipway-image-{found.inputs}")
    assert (place.name, place.output) == ("slipway-builder-ai-generation", found.volume)
    assert (place.proxy, place.labels["slipway.run"]) == (None, "ai-generation.aaaaaaaaaaaa")
    assert (found.repository, found.tag) == ("registry:5000/ai-generation", "aaaaaaaaaaaa")
    python = accepted.images["base-python"]
    assert recipe.arguments["BASE_PYTHON"] == python
    assert recipe.labels[INPUTS] == found.inputs
    assert recipe.labels["org.opencontainers.image.created"] == "1970-01-01T00:00:07Z"
    assert json.loads(recipe.labels[BASES]) == {"python:3.11-slim": PUBLIC, "base-python": python}
    assert {one.name: one.digest for one in recipe.bases} == {
        "python:3.11-slim": PUBLIC.partition("@")[2],
        python: "sha256:1",
    }
    assert list(told["folders"]) == ["slipway-wheels"]


def made(commit: str = "c0ffee", run: str = "web.c0ffee", **changes: Any) -> Made:
    config = {
        "config": {
            "Env": [f"COMMIT={commit}"],
            "Labels": {"ours": commit, "theirs": "x"},
            **changes.pop("config", {}),
        },
        "history": [{"created_by": f"ARG BUILD={run}"}],
    }
    return Made(
        **{"digest": f"sha256:{commit}", "layers": ("sha256:1", "sha256:2"), "config": config} | changes
    )


def key_of(one: Made, commit: str = "c0ffee", run: str = "web.c0ffee") -> str:
    return contents_of(one, ["ours"], {commit: "COMMIT", run: "BUILD"})


def test_images_that_only_say_another_commit_have_the_same_contents() -> None:
    assert key_of(made()) == key_of(made("beef", "web.beef"), "beef", "web.beef")
    assert key_of(replace(made(), config={})) == key_of(Made("sha256:other", made().layers, {"config": {}}))


@pytest.mark.parametrize(
    "other",
    [
        made(layers=("sha256:2", "sha256:1")),
        made(layers=("sha256:1", "sha256:2", "sha256:3")),
        made(config={"User": "0"}),
        made(config={"Labels": {"ours": "c0ffee", "theirs": "y"}}),
        made(config={"Env": ["COMMIT=c0ffee", "PASSWORD=x"]}),
        replace(made(), config=made().config | {"history": [{"created_by": "RUN other"}]}),
    ],
    ids=["order", "layer", "user", "label", "variable", "instruction"],
)
def test_whatever_else_differs_makes_other_contents(other: Made) -> None:
    assert key_of(other) != key_of(made())


def test_name_that_the_platform_has_no_copy_of_is_refused_before_anything_is_made(
    run: Callable[..., Run], world: Any, source: Any, accepted: given.Accepted, workspace: given.Workspace
) -> None:
    source.content["Dockerfile"] = b"FROM python:3.12-slim"
    for stage in (CHECKOUT, BUILT):
        with pytest.raises(PolicyFailed, match="Dockerfile:1: this platform has no copy") as caught:
            stage.run(run(stage, accepted, workspace))
        assert caught.value.code == "image.base-unknown"
        assert "python:3.11-slim" in caught.value.remedy
    assert world.did == []


def test_base_that_the_registry_has_no_more_is_told(
    run: Callable[..., Run],
    world: Any,
    accepted: given.Accepted,
    workspace: given.Workspace,
    dockerfile: None,
) -> None:
    del world.of_registry.images[PUBLIC.partition("@")[2]]
    with pytest.raises(Permanent, match=r"which python:3\.11-slim stands for"):
        BUILT.run(run(BUILT, accepted, workspace))


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
    assert (again.digest, again.volume, again.inputs) == ("", "", inputs)
    assert world.did == []


def test_commit_without_the_dockerfile_is_at_fault(
    run: Callable[..., Run], source: Any, accepted: given.Accepted, workspace: given.Workspace
) -> None:
    source.content.clear()
    with pytest.raises(PolicyFailed, match="Dockerfile is not in the repository"):
        BUILT.run(run(BUILT, accepted, workspace))


@pytest.fixture
def built(world: Any) -> given.Built:
    """An image of one layer, in its volume."""
    blobs = {digest_of(one): one for one in (b"{}", b"layer")}
    config, layer = blobs
    parts = {"config": {"digest": config}, "layers": [{"digest": layer}], "mediaType": "application/image"}
    manifest = json.dumps(parts).encode()
    blobs[digest_of(manifest)] = manifest
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as files:
        for digest, content in blobs.items():
            entry = tarfile.TarInfo(f"image/blobs/sha256/{digest.partition(':')[2]}")
            entry.size = len(content)
            files.addfile(entry, io.BytesIO(content))
    world.of_engine.archives["slipway-image-1"] = tar.getvalue()
    return BUILT_.model_copy(update={"digest": digest_of(manifest)})


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_pushed_image_is_on_record_by_its_digest(
    run: Callable[..., Run], world: Any, accepted: given.Accepted, built: given.Built
) -> None:
    world.of_registry.keeps = image(digest=built.digest, name_digest=built.digest)
    found = PUSH.run(run(PUSH, accepted, built))
    assert (found.image, found.digest) == (f"{BUILT_.repository}@{built.digest}", built.digest)
    [(repository, tag, pushed)] = world.of_registry.pushed
    assert (repository, tag, len(pushed.blobs)) == ("ai-generation", "aaaaaaaaaaaa", 2)
    assert [one[0] for one in world.did] == ["exclusive", "update", "ready", "remove volume"]
    assert PUSH.run(run(PUSH, accepted, built)) == found  # a second try pushes nothing
    assert len(world.of_registry.pushed) == 1


def test_push_that_the_registry_does_not_keep_is_tried_again(
    run: Callable[..., Run], world: Any, accepted: given.Accepted, built: given.Built
) -> None:
    with pytest.raises(Transient, match="was pushed, and the registry does not have it"):
        PUSH.run(run(PUSH, accepted, built))
    assert ("ready", "ai-generation.aaaaaaaaaaaa") not in world.did


def test_image_that_was_there_and_is_gone_is_built_by_clearing(
    run: Callable[..., Run], world: Any, accepted: given.Accepted
) -> None:
    nothing = BUILT_.model_copy(update={"digest": "", "volume": ""})
    with pytest.raises(Permanent, match="is not any more") as caught:
        PUSH.run(run(PUSH, accepted, nothing))
    assert caught.value.remedy == "clear image.build"


def test_image_comes_after_the_gate_and_its_contents_are_listed_before_it_is_pushed(service: Service) -> None:
    order = release_of(service)
    assert GATE in order.earlier(BUILT)
    assert {BUILT, SBOM, SCANNED} <= order.earlier(PUSH)


def test_what_was_built_is_scanned_by_its_contents_and_by_the_day(service: Service) -> None:
    told = SCANNED.options(service)
    assert SCANNED.rules is not None
    assert SCANNED.rules(service) is service.image.scan
    assert service.image.scan.severity == "high"
    assert ("contents" in told["policy"], told["daily"], "volume" in told["built"]) == (True, True, True)
    assert "base_layers" in told["environment"]["SLIPWAY_BASE_LAYERS"]
