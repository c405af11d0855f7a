"""What the answer about a database is made of: any change of it is another answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from slipway_migrations.asked import digest
from slipway_migrations.database import Session


@dataclass
class Tables:
    """A database as the history's tables show it."""

    tables: dict[str, list[str]] = field(default_factory=lambda: {"history": ["(1,a)", "(2,b)"]})
    version: int = 150000

    def holds(self, table: str) -> bool:
        return table in self.tables

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        return [(row,) for row in self.tables[sql.split(" from ")[1].split()[0]]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sub").mkdir()
    (tmp_path / "root.yaml").write_text("include: sub/a.sql")
    (tmp_path / "sub/a.sql").write_text("select 1")
    return tmp_path


def of(folder: Path, database: Tables, *chosen: str) -> str | None:
    return digest(folder, chosen, cast("Session", database), ["history", "callbacks"])


def test_the_same_is_the_same_and_nothing_firm_is_without_a_history(folder: Path) -> None:
    assert of(folder, Tables(), "a") == of(folder, Tables(), "a")
    assert of(folder, Tables({"callbacks": ["(x)"]}), "a") is None


def _written(path: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_text(text)


@pytest.mark.parametrize(
    "change",
    [
        _written("root.yaml", "include: sub/b.sql"),
        _written("sub/b.sql", ""),
        lambda folder: (folder / "sub/a.sql").rename(folder / "sub/c.sql"),
        lambda folder: (folder / "sub/a.sql").unlink(),
        lambda folder: (folder / "link.sql").symlink_to("sub/a.sql"),
    ],
)
def test_any_change_of_the_files_is_another(folder: Path, change: Callable[[Path], object]) -> None:
    before = of(folder, Tables())
    change(folder)
    assert of(folder, Tables()) != before


@pytest.mark.parametrize(
    "other",
    [
        Tables({"history": ["(1,a)"]}),
        Tables({"history": ["(1,a)", "(2,b)", "(3,c)"]}),
        Tables({"history": ["(1,a)", "(2,B)"]}),
        Tables({"history": ["(1,a)"], "callbacks": ["(2,b)"]}),
        Tables(version=160000),
    ],
)
def test_any_change_of_the_history_or_of_the_server_is_another(folder: Path, other: Tables) -> None:
    assert of(folder, other) != of(folder, Tables())


def test_what_is_chosen_is_a_part_of_it(folder: Path) -> None:
    assert of(folder, Tables(), "a", "b") != of(folder, Tables(), "ab") != of(folder, Tables())


def test_a_changelog_may_be_one_file(tmp_path: Path) -> None:
    file = tmp_path / "changelog.sql"
    file.write_text("select 1")
    before = of(file, Tables())
    file.write_text("select 2")
    assert before not in (None, of(file, Tables()))
