"""What a rollback that is refused tells."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from slipway.release import Candidate, Choice
from slipway.stages.rollback import MOST_TOLD, nothing_fits

LEAVING: Any = SimpleNamespace(run_id="web.bad", commit="b" * 40)


def test_the_newest_that_do_not_fit_are_told_with_why_and_the_rest_are_counted() -> None:
    refused = tuple(f"web.{number}: it is held" for number in range(MOST_TOLD + 3))
    told = nothing_fits(LEAVING, Choice(None, refused))
    assert told.message == f"web.bad (commit {'b' * 12}) cannot be rolled back: web.0: it is held"
    assert list(told.lines) == [*refused[1:MOST_TOLD], "… and 3 more"]
    assert list(nothing_fits(LEAVING, Choice(None, refused[:2])).lines) == [refused[1]]


def test_the_nearest_that_fits_is_proposed_for_the_one_that_was_asked_for() -> None:
    nearest = Candidate("web.good", "a" * 40)
    told = nothing_fits(LEAVING, Choice(None, (), nearest), to="c" * 40)
    assert f"commit {'c' * 40} was not good here" in told.message
    assert told.remedy.startswith(f"the nearest that fits is commit {'a' * 12} (web.good); ")
