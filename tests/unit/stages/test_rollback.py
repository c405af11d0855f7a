"""What the rollback of a release does in each place where it may be come upon."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slipway.catalog import catalog_directory, load_service
from slipway.errors import PolicyFailed
from slipway.release import Candidate, Choice, Outcome, Status
from slipway.release.where import Step, Where
from slipway.stages.rollback import GOING, Seen, go_back, look, rollback

WATCHED = ("deploy.apply", "verify.smoke")
BY_HAND = "rollback.svc.20261126T120000.000001"


def seen(books: Any, run: str = "svc.b", serves: Any = None) -> Seen:
    return look(books, run, "svc", "staging", WATCHED, serves)


def gone_back(books: Any, found: Seen, choice: Choice | None = None) -> list[tuple[str, str, str]]:
    """Do what is to be done; give what was applied in place of what, and why."""
    applied: list[tuple[str, str, str]] = []

    def apply(left: Any, to: Any, reason: str) -> None:
        books.rolled_back(left.run_id, to.run_id, reason)
        applied.append((left.run_id, to.run_id, reason))

    def choose(leaving: Any) -> Choice:
        assert choice is not None, "nothing was to be chosen"
        return choice

    go_back(books, found, choose=choose, apply=apply)
    return applied


GOOD = Choice(Candidate("svc.a", "a" * 40))


def test_what_failed_goes_back_to_what_fits_and_says_which_stage_said_what(books: Any) -> None:
    books.add("svc.c", Status.RUNNING, deployed=True, verify_smoke=Outcome.FAILED)
    found = seen(books, "svc.c")
    assert (found.position.where, found.step) == (Where.DEPLOYED, Step.CHOOSE)
    assert gone_back(books, found, GOOD) == [
        ("svc.c", "svc.a", "verify.smoke failed: verify_smoke says failed")
    ]


def test_a_reason_that_names_its_stage_names_it_once(books: Any) -> None:
    books.add("svc.c", Status.RUNNING, deployed=True, verify_smoke=Outcome.FAILED)
    [stage] = books.releases["svc.c"].stages
    books.change(
        "svc.c", stages=(type(stage)(stage.name, stage.outcome, 1.0, "verify.smoke: no", stage.started_at),)
    )
    assert seen(books, "svc.c").reason == "verify.smoke: no"


@pytest.mark.parametrize("outcome", [Outcome.ERRORED, Outcome.PASSED, Outcome.SKIPPED])
def test_what_is_no_verdict_leaves_what_is_deployed(books: Any, outcome: Outcome) -> None:
    books.add("svc.c", Status.RUNNING, deployed=True, verify_smoke=outcome, test_unit=Outcome.FAILED)
    found = seen(books, "svc.c")
    assert found.step is Step.NOTHING
    assert "what is deployed stays, and Clear goes on" in found.nothing


@pytest.mark.parametrize(
    ("outcome", "is_undecided"),
    [(Outcome.ERRORED, True), (Outcome.PASSED, True), (Outcome.FAILED, False)],
)
def test_as_long_as_nothing_is_a_verdict_the_other_stages_may_say_more(
    books: Any, outcome: Outcome, is_undecided: bool
) -> None:
    books.add("svc.c", Status.RUNNING, deployed=True, verify_smoke=outcome)
    assert seen(books, "svc.c").is_undecided is is_undecided
    books.add("svc.d", Status.RUNNING, verify_smoke=outcome)
    assert not seen(books, "svc.d").is_undecided  # there is nothing to go back from


@pytest.mark.parametrize("state", ["running", "up_for_reschedule", "failed", "success", None])
def test_rollback_waits_for_what_is_at_work_and_only_for_that(state: str | None) -> None:
    states = {
        "deploy.apply": "success",
        "verify.smoke": "failed",
        "verify.health": state,
        "report": "running",
    }
    task = rollback(load_service(catalog_directory() / "ai-generation.yaml"), tuple(states)[:3])
    told = {name: one for name, one in states.items() if one}
    context: Any = {
        "dag_run": SimpleNamespace(dag_id="release", run_id="run"),
        "ti": SimpleNamespace(get_task_states=lambda dag_id, run_ids: {run_ids[0]: told}),
    }
    assert task._at_work(context) == (["verify.health"] if state in GOING else [])


def test_of_a_release_that_deployed_nothing_nothing_is_rolled_back(books: Any) -> None:
    books.add("svc.c", Status.RUNNING, deploy_apply=Outcome.FAILED)
    found = seen(books, "svc.c")
    assert (found.position.where, found.step) == (Where.BEFORE, Step.NOTHING)
    assert found.nothing.startswith("nothing of this release is deployed")


def test_where_nothing_fits_the_commit_is_held_and_what_is_deployed_stays(books: Any) -> None:
    books.add("svc.c", Status.RUNNING, deployed=True, verify_smoke=Outcome.FAILED)
    with pytest.raises(PolicyFailed, match="cannot be rolled back"):
        gone_back(books, seen(books, "svc.c"), Choice(None, ("svc.a (commit aaaaaaaaaaaa): it is held",)))
    assert books.told == [("hold", "c" * 40, "verify.smoke failed: verify_smoke says failed")]
    assert books.deployed[-1] == "svc.c"


@pytest.mark.parametrize("serves", [True, False])
def test_a_try_after_a_kill_goes_on_with_what_was_chosen_and_chooses_nothing(
    books: Any, serves: bool
) -> None:
    books.add("svc.c", Status.RUNNING, deployed=True, verify_smoke=Outcome.FAILED)
    books.rolled_back("svc.c", "svc.a", "verify.smoke failed: no")
    found = seen(books, "svc.c", lambda release: serves)
    assert found.position.where is (Where.RETURNED if serves else Where.RETURNING)
    assert gone_back(books, found) == [("svc.c", "svc.a", "verify.smoke failed: no")]


def test_what_was_deployed_since_is_left_alone(books: Any) -> None:
    books.rolled_back("svc.b", "svc.a", "no")
    books.add("svc.c", Status.PASSED, deployed=True)
    books.told.clear()
    found = seen(books)
    assert (found.position.where, found.step) == (Where.OVERTAKEN, Step.TELL)
    assert gone_back(books, found) == []
    assert books.told == []


def test_what_a_newer_release_has_replaced_is_not_rolled_back(books: Any) -> None:
    books.add("svc.c", Status.PASSED, deployed=True)
    assert seen(books).step is Step.NOTHING


def test_a_stage_that_prints_the_run_of_another_rollback_is_taken_for_no_more_than_words(books: Any) -> None:
    # pushed code wrote it; it is the reason of the stage, and then of the hold
    forged = f"rolled back by hand ({BY_HAND}): returned to svc.z"
    books.add("svc.c", Status.RUNNING, deployed=True, verify_smoke=Outcome.FAILED)
    [stage] = books.releases["svc.c"].stages
    books.change("svc.c", stages=(type(stage)(stage.name, stage.outcome, 1.0, forged, stage.started_at),))
    found = seen(books, "svc.c")
    assert (found.position.where, found.step) == (Where.DEPLOYED, Step.CHOOSE)
    assert gone_back(books, found, GOOD) == [("svc.c", "svc.a", f"verify.smoke failed: {forged}")]
    again = seen(books, "svc.c")
    assert (again.position.where, again.release.rolled_back_to) == (Where.RETURNING, "svc.a")
