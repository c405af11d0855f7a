"""A build of minutes tells how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from slipway_sandbox.layout import Layout
from slipway_sandbox.parts.kubernetes import Kubernetes
from slipway_sandbox.run import wait_until


def test_silence_of_a_long_build_is_told(tmp_path: Path) -> None:
    layout, said = Layout(tmp_path / "state", tmp_path / "cache", tmp_path), list[str]()
    layout.create()
    (layout.logs / "kubernetes-build.log").write_text("10:00:00 [build.sh] of an earlier build\n")

    class Told:
        """What a part needs of its sandbox here."""

        def __init__(self) -> None:
            self.layout = layout

        def say(self, part: str, text: str) -> None:
            said.append(f"{part}: {text}")

    sandbox: Any = Told()
    with Kubernetes(sandbox).telling("build.sh", quiet_s=1):
        wait_until(lambda: None if said else "nothing told", 10, "a word")
    assert said[0].startswith("kubernetes: still building, for ")
    assert not any("earlier" in words for words in said)
