"""Images on a real engine, and in the registry."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from slipway.adapters import engine as adapter
from slipway.adapters.registry import Registry
from slipway.errors import Permanent
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Sandbox

Build = Callable[..., list[str]]


def test_pushed_digest_is_the_registrys_own(
    engine: Any, unique: str, sandbox: Sandbox, build: Build, account: Callable[[str], tuple[str, str]]
) -> None:
    repository, tag = f"{sandbox.registry}/slipway/test-adapters", unique
    said = build(f"LABEL unique={unique}\n", tag=f"{repository}:{tag}")
    assert said
    assert adapter.image_exists(engine, f"{repository}:{tag}")
    registry = Registry(sandbox.registry, *account("pull"), sandbox.registry_ca)
    assert registry.digest("slipway/test-adapters", tag) is None
    for login in (account("pull"), ("push", "wrong")):
        with pytest.raises(Permanent, match=tag):
            adapter.push(engine, repository, tag, *login)
    digest = adapter.push(engine, repository, tag, *account("push"))
    try:
        assert adapter.push(engine, repository, tag, *account("push")) == digest
        assert registry.digest("slipway/test-adapters", tag) == digest
        image = registry.image("slipway/test-adapters", tag)
        assert image is not None
        assert (image.is_single, image.digest, image.labels["unique"]) == (True, digest, unique)
        assert image.runs_on("linux/amd64")
    finally:
        url = f"https://{sandbox.registry}/v2/slipway/test-adapters/manifests/{digest}"
        session(str(sandbox.registry_ca)).delete(url, auth=account("push"), timeout=20).raise_for_status()
    assert registry.digest("slipway/test-adapters", tag) is None


def test_image_of_a_folder_holds_its_files_and_is_made_once(
    engine: Any, unique: str, python: str, tar_of: Callable[..., Any]
) -> None:
    adapter.fill_volume(engine, python, unique, "/deps", tar_of({"wheels/a.whl": b"w"}))
    refs = {
        adapter.image_of_folder(engine, python, unique, "/deps", "wheels", unique, "wheels") for _ in range(2)
    }
    assert refs == {f"{unique}:wheels"}
    saved = io.BytesIO(b"".join(engine.get_image(f"{unique}:wheels")))
    with tarfile.open(fileobj=saved) as image:
        (layer,) = [one for one in image.getnames() if one.endswith("layer.tar")]
        packed = image.extractfile(layer)
        assert packed is not None
        with tarfile.open(fileobj=packed) as files:
            assert [one.name for one in files if one.isreg()] == ["wheels/a.whl"]
