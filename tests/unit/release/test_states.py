import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import Permanent
from slipway.release import Outcome, Status, begin, decisive, finish, fold

outcomes = st.sampled_from(Outcome)
statuses = st.sampled_from(Status)
stages = st.dictionaries(st.text(min_size=1, max_size=4), outcomes, max_size=8)
HARMLESS = {Outcome.PASSED, Outcome.SKIPPED}


@given(stages, st.randoms())
def test_end_does_not_depend_on_the_order_of_stages(found: dict[str, Outcome], random: object) -> None:
    items = list(found.items())
    random.shuffle(items)  # type: ignore[attr-defined]
    assert fold(dict(items)) is fold(found)


@given(stages)
def test_release_passes_only_if_something_passed_and_nothing_went_wrong(found: dict[str, Outcome]) -> None:
    passed = Outcome.PASSED in found.values() and set(found.values()) <= HARMLESS
    assert (fold(found) is Status.PASSED) == passed


@given(stages, st.sets(st.text(min_size=1, max_size=4), max_size=4))
def test_release_passes_only_if_every_required_stage_passed(
    found: dict[str, Outcome], required: set[str]
) -> None:
    if fold(found, required) is Status.PASSED:
        assert all(found[name] is Outcome.PASSED for name in required)


@given(stages, st.text(min_size=5, max_size=6))
def test_another_passed_stage_never_mends_a_release(found: dict[str, Outcome], name: str) -> None:
    if decisive(found):
        assert fold({**found, name: Outcome.PASSED}) is fold(found)


@given(stages, st.text(min_size=5, max_size=6), outcomes)
def test_another_stage_that_went_wrong_never_makes_a_release_pass(
    found: dict[str, Outcome], name: str, bad: Outcome
) -> None:
    if bad not in HARMLESS:
        assert fold({**found, name: bad}) is not Status.PASSED


@given(stages)
def test_decisive_stage_has_the_end_of_the_release(found: dict[str, Outcome]) -> None:
    name = decisive(found)
    assert (name is None) == (set(found.values()) <= HARMLESS)
    if name is not None:
        assert fold(found).value == found[name].value


def test_verdict_on_the_commit_outweighs_trouble_of_ours() -> None:
    found = {
        "lint": Outcome.CANCELLED,
        "unit": Outcome.ERRORED,
        "sast": Outcome.FAILED,
        "gate": Outcome.SKIPPED,
    }
    assert (fold(found), decisive(found)) == (Status.FAILED, "sast")


def test_nothing_done_or_nothing_but_skipped_is_not_passed() -> None:
    assert fold({}) is Status.ERRORED
    assert fold({"unit": Outcome.SKIPPED}) is Status.ERRORED


@given(statuses)
def test_release_can_always_begin_again(status: Status) -> None:
    assert begin(status) is begin(None) is Status.RUNNING


@given(statuses)
def test_running_release_can_end_in_every_way_but_running(end: Status) -> None:
    if end is Status.RUNNING:
        with pytest.raises(Permanent):
            finish(Status.RUNNING, end)
    else:
        assert finish(finish(Status.RUNNING, end), end) is end


@pytest.mark.parametrize(
    ("status", "end"),
    [
        ("rejected", "passed"),
        ("passed", "rejected"),
        ("failed", "running"),
    ],
)
def test_what_cannot_follow_is_refused_with_what_can(status: str, end: str) -> None:
    with pytest.raises(Permanent, match="cannot end as") as caught:
        finish(Status(status), Status(end))
    assert "legal: " in str(caught.value)
    assert "Clear the run" in caught.value.remedy


def test_rerun_of_a_late_stage_may_mend_a_release() -> None:
    assert finish(Status.FAILED, Status.PASSED) is Status.PASSED
    assert finish(Status.PASSED, Status.ROLLED_BACK) is Status.ROLLED_BACK
    assert (
        finish(Status.PASSED, Status.SUPERSEDED) is Status.SUPERSEDED
    )  # cleared after a newer one was deployed
    assert (
        finish(Status.SUPERSEDED, Status.PASSED) is Status.PASSED
    )  # the newer one never came to be deployed
