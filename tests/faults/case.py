"""What a case of a fault is: what must be seen of it, what was seen, and where the two differ."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from faults.scene import Scene


@dataclass(frozen=True)
class Wanted:
    """How a case must end.

    :param stage: the task at which the release ends; None for a case without a release, or one that ends well.
    :param outcome: a status of the ledger; what a case without a release ends as is for the case to say.
    :param message: a regular expression that is searched in the first line of the reason.
    :param published: whether the registry may have an image of the commit afterwards.
    :param replaced: whether what served before may be gone: only once the gates and the rollout have passed.
    """

    stage: str | None
    outcome: str
    message: str
    published: bool = False
    replaced: bool = False


@dataclass(frozen=True)
class Seen:
    """What came of a case.

    :param message: the whole reason; only its first line is compared, the rest is for a person.
    :param held: what the run still holds, in words.
    :param attempts: how often the deciding task was tried.
    :param notes: what else is wrong, in words: a case writes here what only it can check.
    :param met: tasks that were disturbed, one after the other.
    """

    stage: str | None
    outcome: str
    message: str
    published: bool = False
    held: tuple[str, ...] = ()
    attempts: int = 1
    run_id: str = ""
    notes: tuple[str, ...] = ()
    replaced: bool = False
    seconds: float = 0.0
    met: tuple[str, ...] = ()

    @property
    def first_line(self) -> str:
        """The line that leads: what, where, why."""
        return self.message.splitlines()[0] if self.message else ""


@dataclass(frozen=True)
class Case:
    """One fault.

    :param act: makes the fault, lets it have its effect, mends what it broke, and gives what was seen.
    :param fast: whether it is one of the few that `make test` makes.
    :param deploys: whether it reaches the deployment: then it runs alone, and a good push must pass right after it.
    :param recovers: whether a release that is new passes as the last of it: what is as good as a push after those before it.
    """

    name: str
    section: str
    title: str
    wanted: Wanted
    act: Callable[[Scene], Seen]
    fast: bool = False
    deploys: bool = False
    recovers: bool = False


def compare(case: Case, seen: Seen) -> list[str]:
    """Give where what was seen differs from what is wanted, in words; nothing if it is as wanted."""
    wanted, found = case.wanted, []
    if seen.stage != wanted.stage:
        found.append(f"ended at {seen.stage}, not at {wanted.stage}")
    if seen.outcome != wanted.outcome:
        found.append(f"ended {seen.outcome}, not {wanted.outcome}")
    if not re.search(wanted.message, seen.first_line):
        found.append(f"the message does not say {wanted.message!r}: {seen.first_line!r}")
    if seen.published and not wanted.published:
        found.append("an image was published")
    if seen.replaced and not wanted.replaced:
        found.append("what served before does not serve any more")
    if case.section == "service" and seen.attempts != 1:
        found.append(f"a fault of the service was tried {seen.attempts} times")
    found += [f"still held: {one}" for one in seen.held]
    return found + list(seen.notes)
