"""What a real engine keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from docker.types import Mount

from slipway.adapters import engine as adapter


def named(things: Sequence[adapter.Stored], name: str) -> list[adapter.Stored]:
    return [one for one in things if one.name.startswith(name)]


def test_what_is_stored_is_listed_with_age_and_size_and_removed_once(
    engine: Any, unique: str, python: str, tar_of: Callable[..., Any]
) -> None:
    adapter.fill_volume(engine, python, f"{unique}-a", "/deps", tar_of({"wheels/a.whl": b"w" * 100_000}))
    tar = tar_of({"wheels/a.whl": b"w" * 100_000})
    engine.import_image_from_data(tar, repository=f"{unique}-b", tag="wheels")
    volume, image = named(adapter.stored(engine), unique)
    assert (volume.kind, volume.name, image.kind, image.name) == (
        "volume",
        f"{unique}-a",
        "image",
        f"{unique}-b:wheels",
    )
    for one in (volume, image):
        assert one.bytes >= 100_000
        assert abs((datetime.now(UTC) - one.created).total_seconds()) < 60
        assert adapter.remove(engine, one)
        assert not adapter.remove(engine, one)
    assert named(adapter.stored(engine), unique) == []
    (base, *_) = [one for one in adapter.stored(engine) if python in one.digests]
    assert base.kind == "image"


def test_volume_in_use_stays(engine: Any, unique: str, python: str, tar_of: Callable[..., Any]) -> None:
    adapter.fill_volume(engine, python, unique, "/deps", tar_of({}))
    made = adapter.Stored("volume", unique, datetime.now(UTC))
    mounts = [Mount("/deps", unique, type="volume")]
    adapter.start(engine, unique, python, network_mode="none", command=["sleep", "60"], mounts=mounts)
    assert not adapter.remove(engine, made)
    adapter.remove_container(engine, unique)
    assert adapter.remove(engine, made)


def test_what_runs_made_is_listed_with_its_run_and_removed(engine: Any, unique: str, python: str) -> None:
    labels = {"slipway": "sidecar", "slipway.run": "svc.0123456789ab"}
    adapter.network(engine, unique, labels)
    adapter.start(
        engine, f"{unique}-database", python, network_mode=unique, command=["sleep", "60"], labels=labels
    )
    adapter.start(engine, f"{unique}-stranger", python, network_mode="none", command=["sleep", "60"])
    found = named(adapter.of_runs(engine), unique)
    assert [(one.kind, one.name, one.run) for one in found] == [
        ("container", f"{unique}-database", "svc.0123456789ab"),
        ("network", unique, "svc.0123456789ab"),
    ]
    for one in found:
        assert abs((datetime.now(UTC) - one.created).total_seconds()) < 60
        assert adapter.remove(engine, one)
    assert named(adapter.of_runs(engine), unique) == []


def test_layers_of_builds_that_were_used_lately_stay(engine: Any) -> None:
    assert adapter.prune_builds(engine, 3_650) == (0, 0)
