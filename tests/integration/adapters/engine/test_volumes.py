"""Volumes on a real engine."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from docker.types import Mount

from slipway.adapters import engine as adapter
from slipway.errors import Permanent, Transient

LABELS = {"slipway": "test"}


def test_volume_is_filled_once_and_marked_complete_last(
    engine: Any, unique: str, python: str, tar_of: Callable[..., Any], script: Callable[..., Any]
) -> None:
    assert adapter.fill_volume(engine, python, unique, "/workspace", tar_of({"src/a.txt": b"first"}))
    assert adapter.has_file(engine, python, unique, "/workspace", ".complete")
    assert not adapter.fill_volume(engine, python, unique, "/workspace", tar_of({"src/a.txt": b"second"}))
    mounts = [Mount("/workspace", unique, type="volume", read_only=True)]
    read = "print(open('/workspace/src/a.txt').read())"
    assert script(engine, f"{unique}-read", python, read, mounts=mounts) == (0, "first\n")


def test_volume_without_its_mark_is_filled_again(
    engine: Any, unique: str, python: str, tar_of: Callable[..., Any]
) -> None:
    """As a worker leaves it that died while filling it."""
    broken = tar_of({"src/a.txt": b"whole" * 1000}).read()[:1_500]
    with pytest.raises((Permanent, Transient)):
        adapter.fill_volume(engine, python, unique, "/workspace", io.BytesIO(broken))
    assert not adapter.has_file(engine, python, unique, "/workspace", ".complete")
    assert adapter.fill_volume(engine, python, unique, "/workspace", tar_of({"src/a.txt": b"whole"}))


def test_prepared_volume_is_writable_for_the_unprivileged_user(
    engine: Any, unique: str, python: str, script: Callable[..., Any]
) -> None:
    for _ in range(2):
        adapter.prepare_volume(engine, python, unique, "/deps", LABELS)
    write = "import os; open('/deps/a', 'w').write('x'); print(os.stat('/deps/a').st_uid)"
    mounts = [Mount("/deps", unique, type="volume")]
    assert script(engine, f"{unique}-write", python, write, mounts=mounts) == (0, f"{adapter.UID}\n")
