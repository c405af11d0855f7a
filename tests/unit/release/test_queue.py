"""Who goes when several releases want the same environment."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from slipway.release import Contender, superseded_by, yields_to

START = datetime(2026, 1, 1, tzinfo=UTC)


@st.composite
def contenders(draw: st.DrawFn) -> list[Contender]:
    """Give some newer releases, each in a state that one can be in."""
    found = []
    for number in range(draw(st.integers(0, 6))):
        running = draw(st.booleans())
        ready = draw(st.booleans())
        found.append(
            Contender(
                f"svc.{number:012x}",
                f"{number:040x}",
                START + timedelta(seconds=draw(st.integers(0, 5))),
                running=running,
                ready=ready,
                failing=draw(st.booleans()),
                deployed=ready and draw(st.booleans()),
            )
        )
    return found


def newer(name: str, second: int, **state: bool) -> Contender:
    return Contender(name, "0" * 40, START + timedelta(seconds=second), **state)


def test_nobody_newer_stands_in_the_way() -> None:
    assert superseded_by([]) is None
    assert yields_to([]) is None


def test_the_newest_that_goes_supersedes_and_is_named() -> None:
    ready = newer("ready", 1, running=True, ready=True)
    deployed = newer("deployed", 2, ready=True, deployed=True)
    gating = newer("gating", 3, running=True)
    assert superseded_by([deployed, ready, gating]) is deployed
    assert superseded_by([ready, gating]) is ready
    assert yields_to([ready, gating, deployed]) is gating


@given(contenders())
def test_what_failed_or_ended_before_its_deployment_never_supersedes(found: list[Contender]) -> None:
    by = superseded_by(found)
    if by is not None:
        assert by.deployed or (by.running and by.ready and not by.failing)
    else:
        assert not any(one.deployed for one in found)


@given(contenders())
def test_only_gates_that_may_still_pass_are_waited_for(found: list[Contender]) -> None:
    ahead = yields_to(found)
    if ahead is not None:
        assert ahead.running
        assert not any((ahead.ready, ahead.failing, ahead.deployed))
        assert ahead is not superseded_by(found)


@given(contenders(), st.randoms())
def test_the_order_in_which_they_are_looked_at_does_not_matter(
    found: list[Contender], random: object
) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert superseded_by(shuffled) == superseded_by(found)
    assert yields_to(shuffled) == yields_to(found)
