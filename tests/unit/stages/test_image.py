"""The image's tag and digest: what is in the registry counts only if it is what this release builds."""

from __future__ import annotations

from typing import Any, cast

import pytest

from slipway.adapters.registry import Image, Registry
from slipway.errors import Permanent
from slipway.stages.image import INPUTS, _tag, published

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
