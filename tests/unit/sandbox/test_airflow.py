"""When Airflow's processes are started anew."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from slipway_sandbox.layout import Layout
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.airflow import Airflow


def sections(layout: Layout) -> list[str]:
    sandbox = SimpleNamespace(layout=layout, external={}, airflow_url="http://127.0.0.1:1")
    return [program.section(layout) for program in Airflow(cast("Sandbox", sandbox)).programs()]


@pytest.mark.parametrize(
    "name", ["include/slipway/stages/lane.py", "plugins/slipway_plugin.py", "plugins/release.html"]
)
def test_they_are_if_the_code_that_they_have_loaded_changes(tmp_path: Path, name: str) -> None:
    layout = Layout(tmp_path / "state", tmp_path / "cache", tmp_path / "checkout")
    file = layout.checkout / name
    file.parent.mkdir(parents=True)
    file.write_text("before")
    before = sections(layout)
    assert sections(layout) == before
    file.write_text("after")
    assert all(old != new for old, new in zip(before, sections(layout), strict=True))


def test_they_are_not_if_a_dag_file_or_the_catalog_changes(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "state", tmp_path / "cache", tmp_path / "checkout")
    before = sections(layout)
    for name in ("dags/release_shop.py", "include/services/shop.yaml"):
        (layout.checkout / name).parent.mkdir(parents=True)
        (layout.checkout / name).write_text("new")
    assert sections(layout) == before
