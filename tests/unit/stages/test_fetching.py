"""What the platform fetches by a package client leaves nothing behind, however it ends."""

from __future__ import annotations

import io
import tarfile
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import Transient
from slipway.stages.fetching import Job, fetched

PACKAGES: Any = SimpleNamespace(container="edge", hosts=("a.packages",), environment=lambda: {"GOPROXY": "x"})
JOB = Job("trial", "image", "go mod download", "found", {"A": "b"})
LEFT = ["remove_container", "remove_network", "remove_volume"]


class Engine:
    """Remembers what it is told. :param code: how the client ends."""

    def __init__(self, code: int = 0) -> None:
        self.code, self.did, self.options = code, list[str](), dict[str, Any]()

    def wait_exit(self, _name: str, _timeout_s: float) -> int:
        return self.code

    def log_tail(self, _name: str) -> list[str]:
        return ["no such module"]

    def start(self, _name: str, _image: str, **options: Any) -> None:
        self.options = options

    def archive(self, *_: Any) -> Any:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            entry = tarfile.TarInfo("found/deep/a.txt")
            entry.size = 2
            tar.addfile(entry, io.BytesIO(b"hi"))
        yield out.getvalue()

    def __getattr__(self, name: str) -> Any:
        return lambda *_a, **_k: self.did.append(name)


def test_files_are_given_and_nothing_is_left() -> None:
    engine: Any = Engine()
    assert fetched(PACKAGES, engine, JOB, login=("pull", "secret")) == {"a.txt": b"hi"}
    assert engine.did == ["ensure_image", *LEFT, "package_network", "prepare_volume", *LEFT]
    assert engine.options["network_mode"] == "slipway-trial"
    assert engine.options["environment"] == {"HOME": "/tmp", "GOPROXY": "x", "A": "b"}


def test_client_that_fails_is_told_with_its_words() -> None:
    engine: Any = Engine(7)
    with pytest.raises(Transient, match="ended with 7") as caught:
        fetched(PACKAGES, engine, JOB)
    assert list(caught.value.lines) == ["no such module"]
    assert engine.did[-3:] == LEFT
