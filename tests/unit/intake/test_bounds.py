"""Bounds of the front door."""

from hypothesis import given
from hypothesis import strategies as st

from slipway.intake.bounds import IN_FLIGHT_MOST, SOURCES_MOST, Bounds, Bucket


@given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 20), st.integers(1, 20))
def test_bucket_never_gives_more_than_its_rate_and_burst(steps: list[float], rate: int, burst: int) -> None:
    bucket, now, given_ = Bucket(rate, burst), 0.0, 0
    for step in steps:
        now += step
        given_ += bucket.take(now)
        assert given_ <= burst + rate * now + 1e-6


def test_one_source_does_not_take_the_others_share_and_all_have_an_end() -> None:
    bounds = Bounds(lambda: 0.0, source=(1, 10), whole=(1, 25))
    assert sum(bounds.admit("a") for _ in range(100)) == 10
    assert sum(bounds.admit("b") for _ in range(100)) == 10
    assert sum(bounds.admit("c") for _ in range(100)) == 5


def test_sources_are_forgotten() -> None:
    bounds = Bounds(lambda: 0.0, whole=(1, 1e9))
    for number in range(2 * SOURCES_MOST):
        bounds.admit(str(number))
    assert len(bounds._sources) == SOURCES_MOST


def test_bodies_have_room_as_long_as_they_are_looked_at() -> None:
    bounds = Bounds(lambda: 0.0)
    with bounds.room(IN_FLIGHT_MOST) as first, bounds.room(1) as second:
        assert (first, second) == (True, False)
    with bounds.room(1) as again:
        assert again
