"""An upgrade in the middle of a release changes nothing in it, or ends it with words that say so."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import Permanent, PolicyFailed, SlipwayError, Superseded, Transient
from slipway.release.upgrade import Effect, effect, explained

VERSIONS = st.sampled_from(["0.1.0+aaaaaaaa", "0.1.0+bbbbbbbb", "0.2.0+cccccccc"])
OURS = st.sampled_from(
    [
        lambda: Permanent("it is broken", code="a.broken", remedy="mend it"),
        lambda: Transient("it does not answer", code="a.unreachable"),
        lambda: PolicyFailed("a test fails", code="a.failed", remedy="mend the test"),
        lambda: Superseded("a newer one goes", code="a.superseded", by="svc.b"),
    ]
).map(lambda make: make())  # anew each time: what it says grows
OTHERS = st.sampled_from(
    [KeyError("id"), AttributeError("x"), TypeError("y"), IndexError(), OSError("disk"), ValueError("z")]
)


@given(st.one_of(OURS, OTHERS), VERSIONS)
def test_of_one_version_nothing_is_put_down_to_an_upgrade(error: Exception, version: str) -> None:
    assert effect(error, version, version) is Effect.NONE
    assert explained(error, version, version) is None


@given(st.one_of(OURS, OTHERS), st.one_of(st.none(), VERSIONS), VERSIONS)
def test_an_upgrade_never_changes_a_verdict_and_keeps_every_word(
    error: Exception, begun: str | None, now: str
) -> None:
    before = (type(error), getattr(error, "message", ""), getattr(error, "remedy", ""))
    told = explained(error, begun, now)
    if isinstance(error, SlipwayError):
        assert told in (None, error)
        assert (type(error), error.message) == before[:2]
        assert error.remedy.startswith(before[2])
    if isinstance(error, (PolicyFailed, Superseded)):
        assert told is None
    if told is not None:
        assert now in str(told) or now in told.remedy
        assert begun is None or begun in str(told) or begun in told.remedy
        assert not isinstance(told, PolicyFailed)


@pytest.mark.parametrize("begun", [None, "0.1.0+aaaaaaaa"])
def test_what_another_version_has_left_and_this_one_cannot_read_is_said(begun: str | None) -> None:
    told = explained(KeyError("id"), begun, "0.2.0+bbbbbbbb")
    assert isinstance(told, Permanent)
    assert told.code == "release.begun-by-another-version"
    by = "Slipway 0.1.0+aaaaaaaa" if begun else "an earlier Slipway"
    assert told.message == (
        f"this release was begun by {by}, and this is 0.2.0+bbbbbbbb, which cannot read what was left: KeyError: 'id'"
    )
    assert "clear this run's task `accept` with downstream, or push again" in told.remedy


def test_what_may_be_anything_is_told_as_it_is_with_one_more_way_to_go_on() -> None:
    error = Transient("the toolbox ended with 2", code="pod.failed", remedy="see its log.")
    assert explained(error, "1", "2") is error
    assert error.remedy.startswith(
        "see its log; this release was begun by Slipway 1, and this is 2: if that does not mend it"
    )


def test_what_the_network_may_have_done_is_left_to_airflows_retries() -> None:
    assert explained(OSError("reset"), "1", "2") is None
