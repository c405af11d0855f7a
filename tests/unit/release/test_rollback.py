"""Which release a rollback returns to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slipway.release import Candidate, Changeset, choose
from slipway.release.rollback import unfit
from slipway.release.schema import CONTRACT, EXPAND


def applied(*changesets: str) -> list[Changeset]:
    """Gives changesets by name; one that begins with `-` takes away."""
    return [
        Changeset(one.lstrip("-"), CONTRACT if one.startswith("-") else EXPAND, "run-9") for one in changesets
    ]


LEAVING = Candidate("s.bad", "c" * 40, "e3", config="1", digest="d")
OLD, GOOD = Candidate("s.old", "a" * 40, "e1"), Candidate("s.good", "b" * 40, "e2")


def test_the_last_good_one_is_taken_though_the_bad_release_has_added_to_the_schema() -> None:
    choice = choose([GOOD, OLD], applied("e1", "e2", "e3"), leaving=LEAVING)
    assert choice.to is GOOD
    assert choice.refused == ()


def test_what_was_taken_away_since_refuses_all_that_may_need_it() -> None:
    choice = choose([GOOD, OLD], applied("e1", "e2", "-c3"), leaving=LEAVING)
    assert choice.to is None
    assert [line.partition(":")[0] for line in choice.refused] == [
        f"s.good (commit {'b' * 12})",
        f"s.old (commit {'a' * 12})",
    ]
    assert "c3 (contract), applied since by run-9" in choice.refused[0]


def test_what_a_killed_run_may_have_taken_away_refuses_and_what_it_may_have_added_does_not_count() -> None:
    doubted = Changeset("c3", CONTRACT, "run-9", is_certain=False)
    why = str(unfit(GOOD, [*applied("e1", "e2"), doubted]))
    assert "c3 (contract) may be applied" in why
    assert "run-9 began it" in why
    added = Changeset("e2", EXPAND, "run-9", is_certain=False)
    assert "needs changeset e2" in str(unfit(GOOD, [*applied("e1"), added]))
    assert unfit(OLD, [*applied("e1"), added]) is None


def test_what_a_release_itself_took_away_is_in_its_range() -> None:
    own = Candidate("s.own", "d" * 40, "c2")
    assert choose([own], applied("e1", "-c2", "e3"), leaving=LEAVING).to is own


def test_a_range_begins_where_the_source_says() -> None:
    wide = Candidate("s.wide", "d" * 40, revision="e3", works_from="e1")
    assert unfit(wide, applied("e1")) is None
    assert "needs changeset e1" in str(unfit(wide, applied("e0")))
    assert "needs changeset e3" in str(unfit(Candidate("s", "d" * 40, revision="e3"), applied("e1", "e2")))


def test_the_commit_that_is_left_held_ones_and_those_without_manifests_are_passed_over() -> None:
    lost = Candidate("s.lost", "d" * 40, "e1", restorable=False)
    again = Candidate("s.bad.r1", "c" * 40, "e1", config="1", digest="d")
    choice = choose([again, lost, GOOD, OLD], applied("e1", "e2"), leaving=LEAVING, held={GOOD.run_id})
    assert choice.to is OLD
    assert [line.rpartition(": ")[2] for line in choice.refused] == [
        "its record has no manifests",
        "it is held",
    ]


def test_the_same_commit_with_another_configuration_or_image_is_a_way_back() -> None:
    for config, digest in (("0", "d"), ("1", "e")):
        same = Candidate("s.same", "c" * 40, "e1", config=config, digest=digest)
        assert choose([same, GOOD], applied("e1", "e2"), leaving=LEAVING).to is same


def test_a_commit_that_is_asked_for_is_taken_or_nothing_and_the_nearest_is_named() -> None:
    schema = applied("e1", "-c1", "e2")
    choice = choose([GOOD, OLD], schema, leaving=LEAVING, to=OLD.commit)
    assert (choice.to, choice.nearest) == (None, GOOD)
    assert len(choice.refused) == 1
    assert choose([GOOD, OLD], schema, leaving=LEAVING, to=GOOD.commit, held={GOOD.run_id}).to is GOOD
    nobody = choose([GOOD], schema, leaving=LEAVING, to="f" * 40)
    assert (nobody.to, nobody.refused, nobody.nearest) == (None, (), GOOD)


def test_without_a_schema_there_is_nothing_to_refuse() -> None:
    assert choose([Candidate("s", "a" * 40)], [], leaving=LEAVING).to is not None


@given(
    st.lists(st.sampled_from([EXPAND, CONTRACT]), max_size=8),
    st.integers(-1, 7),
    st.integers(-1, 7),
)
def test_it_fits_exactly_if_what_it_needs_is_there_and_nothing_was_taken_away_since(
    phases: list[str], revision: int, works_from: int
) -> None:
    schema = [Changeset(f"c{at}", phase) for at, phase in enumerate(phases)]
    ids = [None if at < 0 else f"c{at}" for at in (revision, works_from)]
    one = Candidate("s", "a" * 40, revision=ids[0], works_from=ids[1])
    needed = ids[1] or ids[0]
    there = [one.id for one in schema]
    known = [there.index(x) for x in ids if x in there]
    wanted = (needed is None or needed in there) and CONTRACT not in phases[max(known, default=-1) + 1 :]
    assert (unfit(one, schema) is None) == wanted
