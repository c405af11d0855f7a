"""Nothing is started twice, nothing is lost, the newest wish wins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from slipway.release import Wish, decide, parse_run_id, run_id

A, B, C = "a" * 40, "b" * 40, "c" * 40
START = datetime(2026, 1, 1, tzinfo=UTC)


class Branch:
    """A release branch, and what was asked for of it: the ledger, as far as this decision goes."""

    def __init__(self) -> None:
        self.wishes: list[Wish] = []
        self.at = 0

    def ask(
        self, commit: str, *, is_head: bool = True, again: bool = False, before: Wish | None = None
    ) -> str | None:
        """Ask; give the new run, or None if it was known."""
        answer = decide("svc", commit, self.wishes, is_head=is_head, again=again)
        if not answer.is_new:
            return None
        self.at += 1
        when = (
            before.requested_at + timedelta(microseconds=1) if before else START + timedelta(seconds=self.at)
        )
        self.wishes.append(Wish(answer.run_id, commit, when, is_head, is_refresh=before is not None))
        return answer.run_id


def test_back_by_force_to_what_was_released_is_a_run_of_its_own() -> None:
    branch = Branch()
    assert [branch.ask(one) for one in (A, B, A, B, A)] == [
        run_id("svc", A),
        run_id("svc", B),
        run_id("svc", A, 1),
        run_id("svc", B, 1),
        run_id("svc", A, 2),
    ]


def test_the_same_push_told_twice_is_known() -> None:
    branch = Branch()
    assert branch.ask(A) == run_id("svc", A)
    assert branch.ask(A) is None
    branch.ask(B)
    assert branch.ask(A) == run_id("svc", A, 1)
    assert branch.ask(A) is None


def test_a_push_that_nobody_heard_of_between_changes_nothing() -> None:
    branch = Branch()  # A, then B unheard, then back to A
    branch.ask(A)
    assert branch.ask(A) is None


def test_an_older_commit_that_a_person_releases_stays_until_the_branch_moves() -> None:
    branch = Branch()
    branch.ask(A)
    branch.ask(B)
    assert branch.ask(A, is_head=False) is None  # without --again
    assert branch.ask(A, is_head=False, again=True) == run_id("svc", A, 1)
    assert branch.ask(B) is None  # the reconciler: it has not moved
    assert branch.ask(C) == run_id("svc", C)


def test_what_a_person_has_asked_for_last_is_known_when_the_branch_comes_to_it() -> None:
    branch = Branch()
    branch.ask(A)
    branch.ask(B)
    branch.ask(A, is_head=False, again=True)
    assert branch.ask(A) is None


def test_what_the_refresh_makes_again_is_no_newer_wish_than_what_it_repeats() -> None:
    branch = Branch()
    branch.ask(A)
    branch.ask(B)
    assert branch.ask(A, is_head=False, again=True, before=branch.wishes[0]) == run_id("svc", A, 1)
    assert branch.ask(B) is None
    assert branch.ask(A) == run_id("svc", A, 2)


def test_what_the_refresh_has_asked_for_is_not_taken_for_the_push_that_it_repeats() -> None:
    branch = Branch()
    branch.ask(A)
    assert branch.ask(A, is_head=False, again=True, before=branch.wishes[0]) == run_id("svc", A, 1)
    # which may wait for its own checks: the reconciler must not start it
    assert decide("svc", A, branch.wishes, is_head=True).run_id == run_id("svc", A)


def test_a_run_that_airflow_has_named_is_a_run_of_its_commit() -> None:
    manual = Wish("manual__2026-01-01T00:00:00+00:00", A, START, is_head=False)
    assert decide("svc", A, [manual], is_head=True).run_id == manual.run_id
    assert decide("svc", B, [manual], is_head=True).run_id == run_id("svc", B)
    later = Wish(run_id("svc", B), B, START + timedelta(seconds=1))
    assert decide("svc", A, [manual, later], is_head=True).run_id == run_id("svc", A)


COMMITS = st.sampled_from([A, B, C])
# (commit, told so many times, whether it is heard at all)
MOVES = st.lists(st.tuples(COMMITS, st.integers(1, 3), st.booleans()), max_size=12)


@given(moves=MOVES)
def test_nothing_twice_nothing_lost_and_the_newest_wins(moves: list[tuple[str, int, bool]]) -> None:
    branch, head, heard = Branch(), None, None
    for commit, times, is_heard in moves:
        head = commit
        if not is_heard:
            continue
        started = [branch.ask(commit) for _ in range(times)]
        # nothing twice: one run if the branch has moved since it was heard last, else none
        assert [one is not None for one in started] == [commit != heard] + [False] * (times - 1)
        heard = commit
    if head is None:
        return
    branch.ask(head)  # the reconciler
    # nothing lost: the head is what was asked for last, whatever nobody heard of; and it is asked for once
    assert max(branch.wishes, key=lambda one: one.requested_at).commit == head
    assert branch.ask(head) is None
    runs = [one.run_id for one in branch.wishes]
    assert len(runs) == len(set(runs))
    assert all(parse_run_id(one.run_id).commit12 == one.commit[:12] for one in branch.wishes)


@given(moves=MOVES, order=st.randoms(use_true_random=False))
def test_the_order_in_which_wishes_are_read_does_not_matter(
    moves: list[tuple[str, int, bool]], order: object
) -> None:
    branch = Branch()
    for commit, _, is_head in moves:
        branch.ask(commit, is_head=is_head, again=not is_head)
    shuffled = list(branch.wishes)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    for commit in (A, B, C):
        for is_head in (True, False):
            expected = decide("svc", commit, branch.wishes, is_head=is_head)
            assert decide("svc", commit, shuffled, is_head=is_head) == expected
