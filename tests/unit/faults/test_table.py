"""How what was seen of a fault is held against what is wanted, and which faults are made side by side."""

from __future__ import annotations

import dataclasses
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest

from faults.__main__ import SECTIONS, Result, batches, cases, releasing_every_commit, run, table
from faults.case import Case, Seen, Wanted, compare
from slipway.catalog import catalog_directory, load_service

WANTED = Wanted("test.unit", "failed", r"^test\.unit failed: a\.py:1")
CASE = Case("one", "service", "a fault", WANTED, lambda scene: SEEN)
SEEN = Seen("test.unit", "failed", "test.unit failed: a.py:1: no\nmore")


def test_as_wanted_is_no_difference() -> None:
    assert compare(CASE, SEEN) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stage": "gate"}, "ended at gate, not at test.unit"),
        ({"outcome": "errored"}, "ended errored, not failed"),
        ({"message": "exit code 1\ntest.unit failed: a.py:1"}, "the message does not say"),
        ({"message": ""}, "the message does not say"),
        ({"published": True}, "an image was published"),
        ({"replaced": True}, "what served before does not serve any more"),
        ({"attempts": 2}, "was tried 2 times"),
        ({"held": ("lane a b",)}, "still held: lane a b"),
        ({"notes": ("the database changed",)}, "the database changed"),
    ],
)
def test_each_difference_is_told(change: dict[str, object], said: str) -> None:
    found = compare(CASE, dataclasses.replace(SEEN, **change))  # type: ignore[arg-type]
    assert len(found) == 1
    assert said in found[0]


def test_what_may_be_published_and_replaced_need_not_be() -> None:
    wanted = dataclasses.replace(WANTED, published=True, replaced=True)
    case = dataclasses.replace(CASE, wanted=wanted)
    assert compare(case, SEEN) == []
    assert compare(case, dataclasses.replace(SEEN, published=True, replaced=True)) == []


def test_faults_of_the_platform_may_be_retried() -> None:
    case = dataclasses.replace(CASE, section="platform")
    assert compare(case, dataclasses.replace(SEEN, attempts=4)) == []


def test_gates_are_pushed_side_by_side_and_everything_else_alone() -> None:
    gate, deploys = CASE, dataclasses.replace(CASE, name="two", deploys=True)
    platform = dataclasses.replace(CASE, name="three", section="platform")
    chosen = [gate, gate, gate, gate, deploys, gate, platform, platform]
    found = [[case.name for case in batch] for batch in batches(chosen)]
    assert found == [["one"] * 3, ["one"], ["two"], ["one"], ["three"], ["three"]]


class Pushes:
    """A scene of which only good pushes are asked; counts them."""

    made = 0

    def good_push(self) -> float:
        self.made += 1
        return 30.0


def _run(*chosen: Case, is_sparing: bool) -> tuple[list[tuple[str, str]], int]:
    scene = Pushes()
    with patch("faults.__main__.every_commit", lambda _scene: nullcontext()):
        results = list(run(chosen, cast(Any, scene), is_sparing=is_sparing))
    assert [one.case for one in results] == list(chosen)
    return [(one.case.name, one.next_push) for one in results], scene.made


def test_a_good_push_follows_each_case_that_deploys_and_the_last_at_the_gates() -> None:
    deploys = dataclasses.replace(CASE, name="two", deploys=True, recovers=True)
    said, pushes = _run(CASE, CASE, deploys, deploys, is_sparing=False)
    assert {next_push for _, next_push in said} == {"passed in 30 s"}
    assert pushes == 3


def test_sparing_the_release_that_a_later_case_ends_with_is_the_push_for_those_before_it() -> None:
    deploys = dataclasses.replace(CASE, name="two", deploys=True)
    recovers = dataclasses.replace(deploys, name="three", recovers=True)
    said, pushes = _run(CASE, deploys, recovers, deploys, is_sparing=True)
    assert said == [
        ("one", "passed in three"),
        ("two", "passed in three"),
        ("three", "passed in 30 s"),
        ("two", "passed in 30 s"),
    ]
    assert pushes == 1


def test_a_case_that_is_not_as_wanted_is_no_push_for_those_before_it() -> None:
    broken = dataclasses.replace(
        CASE,
        name="two",
        deploys=True,
        recovers=True,
        act=lambda scene: dataclasses.replace(SEEN, stage="gate"),
    )
    said, pushes = _run(CASE, broken, is_sparing=True)
    assert said == [("one", "passed in 30 s"), ("two", "passed in 30 s")]
    assert pushes == 1


def test_the_table_shows_what_was_seen() -> None:
    result = Result(CASE, dataclasses.replace(SEEN, message="a | b"), ("wrong",), "passed in 30 s")
    assert table([result]).splitlines()[-1] == (
        "| one (!) | test.unit | failed | a \\| b | no | no | passed in 30 s |"
    )


def test_cases_have_names_of_their_own_and_a_fast_choice() -> None:
    known = cases()
    assert len({case.name for case in known}) == len(known)
    assert {case.section for case in known} <= set(SECTIONS)
    assert 4 <= sum(case.fast for case in known if case.section == "service") <= 6


def test_entry_with_the_word_is_one_that_releases_every_commit(tmp_path: Path) -> None:
    entry = tmp_path / "ai-generation.yaml"
    entry.write_text(releasing_every_commit((catalog_directory() / entry.name).read_text()))
    assert load_service(entry).queue == "every-commit"
