"""What a rollback that is refused tells."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import Permanent, PolicyFailed
from slipway.release import Candidate, Choice
from slipway.stages import restoring
from slipway.stages.restoring import MOST_TOLD, nothing_fits
from slipway.stages.sensor import Waits

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


class Wait:
    """Waits a second each time it is asked, and tells nobody."""

    def __init__(self) -> None:
        self.clock = 0

    def seconds(self, _what: str) -> float:
        return self.clock

    def for_pods(self, _what: str) -> None:
        self.clock += 1


def test_it_waits_as_long_as_the_catalog_says_and_tells_whose_fault_it_is() -> None:
    def until(answers: Iterator[Waits | None], what: str) -> None:
        restoring._until(lambda: next(answers), what, 60, Wait())

    no = Waits("/version answers 503", PolicyFailed, code="health.unready")
    until(iter([*[no] * 40, None]), "the rollout")
    with pytest.raises(PolicyFailed, match="the service: not so after 60 s: /version answers 503"):
        until(repeat(no), "the service")
    full = Waits("Unschedulable", Permanent, code="rollout.unschedulable")
    with pytest.raises(Permanent, match=r"^the rollout: not so after 60 s: Unschedulable"):
        until(repeat(full), "the rollout")
