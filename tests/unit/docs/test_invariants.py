"""docs/invariants.md names tests and faults that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faults.__main__ import cases

ROOT = Path(__file__).parents[3]
ROWS = [row for row in (ROOT / "docs/invariants.md").read_text().splitlines() if re.match(r"\| \d", row)]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_what_is_named_is_there(row: str) -> None:
    known, file, found = {case.name for case in cases()}, "", 0
    for quoted in re.findall(r"`([^`]+)`", row.rsplit("|", 2)[1]):
        path, is_test, name = quoted.partition("::")
        file = path or file
        if is_test:
            assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), quoted
            found += 1
        elif "-" in quoted:
            assert quoted in known
            found += 1
    assert found


def test_each_has_a_row() -> None:
    assert len(ROWS) == 12
