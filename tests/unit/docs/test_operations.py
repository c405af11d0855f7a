"""docs/operations.md has an example of what every fault of a deployment says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from faults.__main__ import cases
from faults.case import Case

DOCUMENT = Path(__file__).parents[3] / "docs/operations.md"
DEPLOYING = [case for case in cases() if case.section == "service" and case.deploys]


def examples() -> list[str]:
    """Give what the table of messages quotes."""
    section = DOCUMENT.read_text().partition("\n## What it says\n")[2].partition("\n## ")[0]
    return [
        quoted
        for row in section.splitlines()
        if row.startswith("|")
        for quoted in re.findall(r"`([^`]+)`", row)
    ]


@pytest.mark.parametrize("case", DEPLOYING, ids=lambda case: case.name)
def test_there_is_an_example_of_what_a_fault_says(case: Case) -> None:
    assert [one for one in examples() if re.search(case.wanted.message, one)]
