"""What follows from which task comes before which: how long a run may take, and who goes first when slots are scarce. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cache


def longest_s(before: Mapping[str, Collection[str]], takes_s: Mapping[str, float]) -> float:
    """Give the longest time that tasks may take one after the other, in seconds.

    :param before: ids of the tasks that come right before each; ids that are no key of it are left out of account.
    :param takes_s: the longest time of each.
    """

    @cache
    def until(task: str) -> float:
        return takes_s[task] + max((until(one) for one in before[task] if one in before), default=0.0)

    return max(map(until, before), default=0.0)


def weights(before: Mapping[str, Collection[str]], gates: Sequence[str] = ()) -> dict[str, int]:
    """Give each task its weight: of all that wait for a slot, the heaviest goes first.

    What comes later in a release goes before what begins one, whosever it is: so it ends, and gives back what it holds. Gates are
    most of the work and go last, the earlier in ``gates`` before the later: every service's first gates before anybody's second,
    so that services share the slots evenly, whoever came first.

    :param gates: ids of the tasks that run side by side, in the order in which they are to begin.
    """
    rank = {task: len(gates) - number for number, task in enumerate(gates)}

    @cache
    def depth(task: str) -> int:
        return 1 + max((depth(one) for one in before[task] if one in before), default=0)

    return {task: rank.get(task, len(gates) + depth(task)) for task in before}
