"""Where a release is, and what a rollback does there: for whatever world it is come upon in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.release import Status
from slipway.release.where import Lane, Step, Where, World, lane, own_rollback, rollback_by_hand, where

ME, GOOD, OTHER = "svc.me", "svc.good", "svc.other"
STANDS = World(ME, Status.RUNNING)

worlds = st.builds(
    World,
    run_id=st.just(ME),
    status=st.one_of(st.none(), st.sampled_from(Status)),
    goes_on=st.sampled_from([None, True, False]),
    active=st.sampled_from([None, ME, GOOD, OTHER]),
    left_for=st.sampled_from([None, GOOD]),
    overtaken_by=st.sampled_from([None, OTHER]),
    serves=st.sampled_from([None, True, False]),
)


@pytest.mark.parametrize(
    ("world", "place"),
    [
        (replace(STANDS, status=None), Where.UNKNOWN),
        (STANDS, Where.BEFORE),
        (replace(STANDS, goes_on=True, active=GOOD), Where.BEFORE),
        (replace(STANDS, goes_on=False), Where.ABANDONED),
        (replace(STANDS, status=Status.FAILED, goes_on=False), Where.ENDED),
        (replace(STANDS, active=ME), Where.DEPLOYED),
        # killed between the record of going back and that of the deployment: what is deployed says more
        (replace(STANDS, active=ME, left_for=GOOD), Where.DEPLOYED),
        (replace(STANDS, active=GOOD, left_for=GOOD), Where.RETURNING),
        (replace(STANDS, active=GOOD, left_for=GOOD, serves=False), Where.RETURNING),
        (replace(STANDS, active=GOOD, left_for=GOOD, serves=True), Where.RETURNED),
        (replace(STANDS, active=OTHER, left_for=GOOD), Where.OVERTAKEN),
        (replace(STANDS, active=OTHER, overtaken_by=OTHER), Where.OVERTAKEN),
    ],
)
def test_each_place_is_known_by_what_was_left_there(world: World, place: Where) -> None:
    assert where(world).where is place


@given(worlds)
def test_every_world_has_one_place_and_a_reason(world: World) -> None:
    found = where(world)
    assert found.where in Where
    assert found.why
    assert (found.where is Where.DEPLOYED) == (world.status is not None and world.active == ME)
    if found.where is Where.OVERTAKEN:
        assert world.active == OTHER or world.overtaken_by == OTHER
    assert (found.by is None) or (found.where is Where.OVERTAKEN and found.by == world.overtaken_by)


@given(worlds, st.booleans())
def test_a_release_rolls_back_only_what_is_its_own_and_goes_on_with_what_it_began(
    world: World, has_failed: bool
) -> None:
    found = where(world)
    step = own_rollback(found, world.left_for, has_failed=has_failed)
    if step is Step.CHOOSE:
        assert has_failed
        assert world.active == ME
    if step is Step.RESTORE:
        assert world.left_for
        assert world.active in (world.left_for, None)
    if world.active == OTHER:
        assert step is (Step.TELL if world.left_for and world.status else Step.NOTHING)
    # what was begun is taken up by whoever comes, whatever the stages say by now
    if found.where in (Where.RETURNING, Where.RETURNED):
        assert step is Step.RESTORE
    assert step is not Step.REFUSE


@given(worlds, st.sampled_from([GOOD, OTHER]))
def test_a_rollback_by_hand_never_undoes_what_another_has_deployed_since(world: World, to: str) -> None:
    step = rollback_by_hand(where(world), world.left_for, to=to)
    assert step in (Step.RESTORE, Step.REFUSE)
    if step is Step.RESTORE:
        assert world.active in (ME, world.left_for, None)
        assert world.active == ME or world.left_for == to


@given(worlds, st.booleans())
def test_a_rollback_that_is_killed_anywhere_ends_where_it_would_have(world: World, has_failed: bool) -> None:
    """Take the steps of one that was chosen, stopping after each record that is written, and come again."""
    if own_rollback(where(world), world.left_for, has_failed=has_failed) is not Step.CHOOSE:
        return
    left = replace(world, left_for=GOOD)
    deployed = replace(left, active=GOOD)
    assert (
        own_rollback(where(left), GOOD, has_failed=has_failed) is Step.CHOOSE
    )  # chooses again, from the same records
    assert own_rollback(where(deployed), GOOD, has_failed=has_failed) is Step.RESTORE
    assert own_rollback(where(replace(deployed, serves=True)), GOOD, has_failed=has_failed) is Step.RESTORE


@given(st.sampled_from([None, ME, OTHER]), st.sampled_from([None, True, False]))
def test_a_lane_is_taken_from_the_dead_alone(holder: str | None, goes_on: bool | None) -> None:
    found = lane(ME, holder, holder_goes_on=goes_on)
    assert (found is Lane.FREE) == (holder is None)
    assert (found is Lane.OURS) == (holder == ME)
    assert (found is Lane.DEAD) == (holder == OTHER and goes_on is False)
