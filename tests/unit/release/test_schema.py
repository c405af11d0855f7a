"""Which findings of the lint stand."""

from __future__ import annotations

from datetime import date

import pytest

from slipway.catalog.service import Waiver
from slipway.release import linted

FINDING = {
    "id": "V2__drop.sql",
    "rule": "ban-drop-column",
    "level": "Warning",
    "message": "Dropping a column\nmay break existing clients.",
    "file": "db/V2__drop.sql",
    "line": 3,
}
WAIVER = Waiver(
    changeset="V2__drop.sql",
    rule="ban-drop-column",
    reason="nothing has read it for a year",
    until=date(2026, 12, 1),
)


def test_a_finding_stands_and_names_changeset_rule_and_place() -> None:
    verdict = linted([FINDING], [], date(2026, 11, 1))
    assert verdict.refused == (
        "V2__drop.sql: ban-drop-column: Dropping a column may break existing clients. (db/V2__drop.sql:3)",
    )
    assert verdict.waived == ()


def test_a_waiver_holds_through_its_last_day() -> None:
    on, after = (linted([FINDING], [WAIVER], date(2026, 12, day)) for day in (1, 2))
    assert on.refused == ()
    assert on.waived[0].endswith("; waived until 2026-12-01: nothing has read it for a year")
    assert after.waived == ()
    assert after.refused[0].endswith("; its waiver ended on 2026-12-01")


@pytest.mark.parametrize("other", [{"changeset": "V3__drop.sql"}, {"rule": "ban-drop-table"}])
def test_a_waiver_is_of_one_changeset_and_one_rule(other: dict[str, str]) -> None:
    assert linted([FINDING], [WAIVER.model_copy(update=other)], date(2026, 11, 1)).refused
