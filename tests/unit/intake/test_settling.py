"""Which commits deliveries mean, and who works them off."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog import Service
from slipway.errors import Transient
from slipway.intake.settling import Wakeful, wanted
from slipway.ledger.deliveries import Waiting


def service(queue: str) -> Service:
    return cast("Service", SimpleNamespace(queue=queue))


commits = st.sampled_from("abcdef")


@given(head=commits, told=st.lists(commits), known=st.sets(commits))
def test_the_head_by_gits_word_is_released_last_and_nothing_that_git_does_not_have(
    head: str, told: list[str], known: set[str]
) -> None:
    waiting = [Waiting(number, one) for number, one in enumerate(told)]
    assert wanted(service("newest"), head, waiting, known.__contains__) == [head]
    each = wanted(service("every-commit"), head, waiting, known.__contains__)
    assert each[-1] == head
    assert len(set(each)) == len(each)
    assert set(each) == {one for one in told if one in known} | {head}


def woken(work: Any, pauses: tuple[float, ...] = ()) -> None:
    """Wake, and wait for the thread's end."""
    Wakeful(work, pauses).wake()
    for thread in threading.enumerate():
        if thread.name == "slipway-intake":
            thread.join(5)
            assert not thread.is_alive()


def test_work_that_fails_is_tried_again_and_then_left() -> None:
    tries: list[int] = []

    def work() -> None:
        tries.append(1)
        raise Transient("git is away", code="git.failed")

    woken(work, (0.001, 0.001))
    assert len(tries) == 3


def test_who_wakes_while_it_works_is_heard_once_more() -> None:
    did: list[int] = []
    waking = Wakeful(lambda: None)

    def work() -> None:
        did.append(1)
        if len(did) == 1:
            for _ in range(50):
                waking.wake()

    waking._work = work
    waking.wake()
    for thread in threading.enumerate():
        if thread.name == "slipway-intake":
            thread.join(5)
    assert len(did) == 2
    waking.wake()
    for thread in threading.enumerate():
        if thread.name == "slipway-intake":
            thread.join(5)
    assert len(did) == 3
