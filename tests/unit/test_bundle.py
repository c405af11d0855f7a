"""When Airflow is asked to parse the DAG files again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from slipway import bundle

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Gives a folder with a catalog and code."""
    for name in (
        "services/a.yaml",
        "slipway/stages/b.py",
        "slipway/stages/__pycache__/b.pyc",
        "slipway/notes.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one")
    return tmp_path


def _touch(path: Path) -> None:
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))


CHANGES: dict[str, Callable[[Path], object]] = {
    "catalog": lambda folder: (folder / "services/a.yaml").write_text("other"),
    "same size": lambda folder: _touch(folder / "services/a.yaml"),
    "code": lambda folder: (folder / "slipway/stages/b.py").write_text("other"),
    "new file": lambda folder: (folder / "services/c.yaml").write_text(""),
    "removed": lambda folder: (folder / "slipway/stages/b.py").unlink(),
    "renamed": lambda folder: (folder / "services/a.yaml").rename(folder / "services/b.yaml"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_change_of_catalog_or_code_is_another_state(
    folder: Path, change: Callable[[Path], object]
) -> None:
    before = bundle.state_of([folder])
    change(folder)
    assert bundle.state_of([folder]) != before


def test_what_is_no_catalog_and_no_code_makes_no_difference(folder: Path) -> None:
    before = bundle.state_of([folder])
    (folder / "slipway/notes.txt").write_text("other")
    (folder / "slipway/stages/__pycache__/b.pyc").write_text("other")
    assert bundle.state_of([folder]) == before


def test_files_are_asked_for_when_something_has_changed_and_once_more_but_not_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(bundle, "ask_for_all", lambda name, _folder: asked.append(name))
    watching = bundle.WatchingBundle(name="dags", path=str(folder / "dags"), watched=[str(folder)])
    for _ in range(3):
        watching.refresh()
    assert asked == []  # Airflow parses all when it starts
    CHANGES["code"](folder)
    for _ in range(3):
        watching.refresh()
    assert asked == ["dags", "dags"]  # a file that is being parsed when it is asked for is left out


@pytest.mark.timeout(60)  # a process imports Airflow
def test_the_dag_processor_gets_nothing_else_of_slipway_by_it() -> None:
    # which its children would have for good, however it changes
    program = (
        "import sys, slipway.bundle; print(*sorted(one for one in sys.modules if one.startswith('slipway')))"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "include"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
    }
    said = subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert said.splitlines()[-1] == "slipway slipway.bundle slipway.preload"
