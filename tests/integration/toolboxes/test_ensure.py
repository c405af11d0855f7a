"""Images are found again: in the registry by their key, and in the cache when a registry has lost them."""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway.toolboxes.recipes import Recipes
from slipway_sandbox import images as builder
from slipway_sandbox.image_store import Kept, Registry
from slipway_sandbox.lifecycle import Progress, open_sandbox

KEY = Recipes.of().keys()["base-debian"]


@pytest.fixture
def registry() -> Registry:
    """The sandbox's registry, by the account that may push."""
    sandbox = open_sandbox(progress=Progress(quiet=True))
    user, password = sandbox.registry_account("push")
    return Registry.of(sandbox.registry, sandbox.registry_ca, user, password)


@pytest.fixture
def kept(registry: Registry, tmp_path: Path) -> Kept:
    made = Kept(tmp_path / "pushed", registry)
    made.keep("base-debian", KEY)
    return made


@pytest.fixture
def lost(kept: Kept, registry: Registry) -> Iterator[str]:
    """The name of an image that is kept, but that the registry does not have."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    (kept.folder / f"base-debian-{KEY}.json").rename(kept.folder / f"{name}-{KEY}.json")
    yield name
    if digest := registry.digest(name, KEY):
        registry.ask("DELETE", f"{name}/manifests/{digest}")


def test_nothing_is_done_when_nothing_changed(engine: Any, tmp_path: Path) -> None:
    sandbox = open_sandbox(progress=Progress(quiet=True))
    user, password = sandbox.registry_account("push")
    said: list[str] = []
    arguments = (sandbox.docker_host, sandbox.registry, sandbox.registry_ca, user, password)
    builder.ensure(*arguments, sandbox.layout.cache / "images", said.append)
    began = time.monotonic()
    found = builder.ensure(*arguments, sandbox.layout.cache / "images", said.append)
    print(f"a warm `ensure` takes {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 10  # seconds; 0.3 on an idle machine
    assert found == engine.images
    assert not said


def test_lost_image_comes_back_with_the_same_digest(registry: Registry, kept: Kept, lost: str) -> None:
    assert registry.digest(lost, KEY) is None
    assert kept.restore(lost, KEY) == registry.digest("base-debian", KEY)
    assert registry.digest(lost, KEY) == registry.digest("base-debian", KEY)


@pytest.mark.parametrize(
    "harm", [Path.unlink, lambda blob: blob.write_bytes(b"harm")], ids=["gone", "changed"]
)
def test_image_that_is_not_kept_whole_is_not_put_back(
    registry: Registry, kept: Kept, lost: str, harm: Callable[[Path], object]
) -> None:
    harm(max(kept.folder.iterdir(), key=lambda file: file.stat().st_size))
    assert kept.restore(lost, KEY) is None
    assert registry.digest(lost, KEY) is None


def test_old_images_and_their_blobs_are_forgotten(kept: Kept) -> None:
    kept.prune({"base-debian": KEY})
    assert len(list(kept.folder.iterdir())) == 3  # manifest, configuration, one layer
    manifest = kept.folder / f"base-debian-{KEY}.json"
    os.utime(manifest, (0, 0))
    kept.prune({"base-debian": KEY})
    assert manifest.is_file()
    kept.prune({"base-debian": "another"})
    assert not list(kept.folder.iterdir())
