"""What was built, as the registry takes it and gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from slipway import oci_layout
from slipway.adapters import engine as adapter
from slipway.adapters.registry import Registry
from slipway.errors import Permanent
from slipway_sandbox.part import Sandbox

pytestmark = pytest.mark.xdist_group("builder")


def test_what_was_built_is_what_the_registry_has(
    engine: Any,
    unique: str,
    sandbox: Sandbox,
    place: adapter.Place,
    build: Callable[..., tuple[adapter.Made, list[str]]],
    asked: Registry,
    account: Callable[[str], tuple[str, str]],
    tmp_path: Path,
) -> None:
    repository = "slipway/test-adapters"
    digest = build(f"LABEL unique={unique}\n")[0].digest
    (tmp_path / "image").write_bytes(b"".join(adapter.archive(engine, place.image, unique, "/out", "image")))
    folder = tmp_path / "parts"
    folder.mkdir()
    with (tmp_path / "image").open("rb") as tar:
        built = oci_layout.unpack(tar, folder, digest)
    assert asked.digest(repository, unique) is None
    with pytest.raises(Permanent, match="refuses the account"):
        asked.push(repository, unique, built)
    pushing = Registry(sandbox.registry, *account("push"), sandbox.registry_ca)
    assert pushing.push(repository, unique, built) == digest
    try:
        assert pushing.push(repository, unique, built) == digest
        image = asked.image(repository, unique)
        assert image is not None
        assert (image.is_single, image.digest, image.labels["unique"]) == (True, digest, unique)
        assert image.labels["test"] == "what=ever, it is"
        assert image.runs_on("linux/amd64")
        again = tmp_path / "again"
        again.mkdir()
        with asked.layout(repository, digest) as tar:
            assert [one.digest for one in oci_layout.unpack(tar, again, digest).blobs] == [
                one.digest for one in built.blobs
            ]
    finally:
        assert pushing.delete(repository, digest)
    assert asked.digest(repository, unique) is None
