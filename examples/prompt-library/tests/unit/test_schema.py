"""The migrations: what the code needs of them, and how they are named."""

import re
from pathlib import Path

import pytest

from prompt_library.schema import FILE, WorksFromError, works_from

MIGRATIONS = FILE.parent
SCRIPTS = sorted(MIGRATIONS.rglob("*.sql"))


def test_code_works_from_a_migration_that_is_there_and_only_adds() -> None:
    script, version = works_from()
    assert (MIGRATIONS / script).is_file(), (
        "a script of the folder contract would take it away from older code"
    )
    assert script.startswith(f"V{version}__")


def test_each_migration_has_a_version_of_its_own() -> None:
    # callbacks have none
    migrations = [path.name for path in SCRIPTS if not re.match("(before|after)[A-Z]", path.name)]
    versions = [found[1] for name in migrations if (found := re.match(r"V(\d+)__\w+\.sql$", name))]
    assert len(versions) == len(set(versions)) == len(migrations) > 0


def test_indexes_are_made_while_writers_go_on() -> None:
    for path in SCRIPTS:
        text = path.read_text(encoding="utf-8")
        if re.search(r"create (unique )?index", text):
            assert "index concurrently" in text, path.name
            assert "executeInTransaction=false" in path.with_name(f"{path.name}.conf").read_text(
                encoding="utf-8"
            )


@pytest.mark.parametrize("text", ["", "notes", "V2__notes.sql\nV3__index.sql", "../V1__x.sql", "V__x.sql"])
def test_file_that_names_no_script_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "works-from"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(WorksFromError, match="must name one script"):
        works_from(file)


def test_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorksFromError, match=str(tmp_path)):
        works_from(tmp_path / "works-from")


def test_version_is_as_flyway_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "works-from"
    file.write_text("V2_1__more_notes.sql\n", encoding="utf-8")
    assert works_from(file) == ("V2_1__more_notes.sql", "2.1")
