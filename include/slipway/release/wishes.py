"""What a push, a command, the reconciler or the refresh asks for: a run that is known, or a new one. Pure.

The newest wish wins. "This commit has had a run" says nothing about that: a branch that is moved back by force to a commit
that was released before is a new wish, and a run of its own. What tells it from the same push told twice is what was asked
for since, as the ledger has it; never the time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import count

from slipway.release.identity import run_id


@dataclass(frozen=True)
class Wish:
    """A run of a service's release that somebody asked for, in one environment.

    :param requested_at: its place in the order of wishes.
    :param is_head: whether it was asked for as the head of the release branch; not so is an older commit that a person
        releases at will.
    :param is_refresh: whether the refresh makes what is deployed again: nobody's wish, but its run id is taken.
    """

    run_id: str
    commit: str
    requested_at: datetime
    is_head: bool = True
    is_refresh: bool = False


@dataclass(frozen=True)
class Answer:
    """The run that is meant, and whether it is a new one. A repeat has been there before, as another run of its commit."""

    run_id: str
    is_new: bool
    is_repeat: bool = False


def decide(
    service: str, commit: str, wishes: Iterable[Wish], *, is_head: bool, again: bool = False
) -> Answer:
    """Give the run that somebody means who asks for ``commit``.

    :param wishes: all that was asked for of the service in the environment.
    :param is_head: whether the commit is the head of the release branch now.
    :param again: whether a run of its own is asked for, whatever there was.
    """
    all_ = list(wishes)
    ordered = sorted(
        (one for one in all_ if not one.is_refresh), key=lambda one: (one.requested_at, one.run_id)
    )
    own = [one for one in ordered if one.commit == commit]
    if own and not again:
        heads = [one for one in ordered if one.is_head]
        # the branch has stayed, or somebody has asked for this very commit since it moved
        is_known = ordered[-1].commit == commit or (bool(heads) and heads[-1].commit == commit)
        if is_known or not is_head:
            return Answer(own[-1].run_id, is_new=False)
    taken = {one.run_id for one in all_}
    free = next(one for number in count() if (one := run_id(service, commit, number)) not in taken)
    return Answer(free, is_new=True, is_repeat=bool(own))
