"""Secrets of hooks: two while they are rotated, asked for seldom, and of no service that there is not."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import Permanent, SlipwayError, Transient
from slipway.intake.secrets import AGAIN_S, FRESH_S, STALE_S, Keyring, made, rotated, valid


class World:
    def __init__(self) -> None:
        self.now, self.asked, self.kept = 100.0, 0, {"current": "a"}
        self.error: SlipwayError | None = None
        self.keyring = Keyring(self.read, lambda: self.now, lambda name: name == "links")

    def read(self, path: str) -> Mapping[str, Any]:
        assert path == "slipway/hooks/links"
        self.asked += 1
        if self.error:
            raise self.error
        return self.kept


def test_secret_is_new_each_time_and_written_as_the_standard_has_it() -> None:
    one, other = made(), made()
    assert one != other
    assert one.startswith("whsec_")
    assert len(base64.b64decode(one.removeprefix("whsec_"))) == 32


@given(st.lists(st.text("ab", min_size=1), min_size=1, max_size=5))
def test_the_newest_two_are_valid(rotations: list[str]) -> None:
    kept: dict[str, str] = {}
    for one in rotations:
        kept = rotated(kept, one)
    assert valid(kept) == tuple(reversed(rotations))[:2]


def test_vault_is_asked_once_for_many_deliveries() -> None:
    world = World()
    for _ in range(100):
        assert world.keyring.of("links") == ("a",)
    assert world.asked == 1
    world.kept = {"current": "b", "previous": "a"}
    world.now += FRESH_S
    assert world.keyring.of("links") == ("b", "a")


@pytest.mark.parametrize("name", ["other", "", "../git", "links/../../git"])
def test_nothing_is_asked_for_a_service_that_there_is_not(name: str) -> None:
    world = World()
    assert world.keyring.of(name) == ()
    assert world.asked == 0


def test_vault_that_is_away_is_done_without_for_a_while() -> None:
    world = World()
    world.keyring.of("links")
    world.error = Transient("away", code="vault.failed")
    world.now += FRESH_S
    for _ in range(10):
        assert world.keyring.of("links") == ("a",)
    assert world.asked == 2
    world.now += AGAIN_S
    world.keyring.of("links")
    assert world.asked == 3
    world.now += STALE_S
    with pytest.raises(Transient):
        world.keyring.of("links")


def test_service_without_a_hook_has_no_secret() -> None:
    world = World()
    world.error = Permanent("nothing", code="vault.path-empty")
    assert world.keyring.of("links") == ()
    world.error = Permanent("denied", code="vault.path-denied")
    world.now += FRESH_S
    with pytest.raises(Permanent):
        world.keyring.of("links")
