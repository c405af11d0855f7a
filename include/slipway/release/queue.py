"""Who goes when several releases of a service want the same environment, and who ends for whom. Pure.

Releases are ordered by when they were asked for, never by which took longer. A service's queue has one of two modes:

``newest``
    Pushes that come close together are one burst, of which only the newest is gated and deployed. A release that has
    not begun ends for a newer one; one whose gates run ends for a newer one of its burst. Later pushes end nobody's
    gates, so that a stream of them cannot keep every one from its verdict.
``every-commit``
    Each goes to its end, in order; nobody ends for who is not deployed yet.

In both, one that is older than what is deployed never goes, and of two that are ready the newer does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

BURST = timedelta(seconds=120)
"""How long after the oldest push without an answer another still belongs to the same burst. About two releases' time: what a
burst costs a service is at most this, and one that is gated for longer is never ended."""


class Mode(StrEnum):
    """Which of a service's pushes are released."""

    NEWEST = "newest"
    EVERY_COMMIT = "every-commit"


@dataclass(frozen=True)
class Contender:
    """A release of a service in one environment, as the queue sees it.

    :param requested_at: when it was asked for: the order of the queue.
    :param begun: whether its run has come to the ledger; one that has not is a wish.
    :param running: whether its run has begun and not ended.
    :param accepted: whether it has passed its first task in this attempt: its gates may run.
    :param ending: whether one of its stages has ended it as superseded.
    :param ready: whether its image is in the registry, every gate having passed.
    :param failing: whether one of its stages has gone wrong: it will not be ready without a person.
    :param held: whether its commit is held: it will be refused.
    :param deployed: whether its manifests were applied, at any time, and it was not gone back from.
    :param answered: whether it came to a verdict of its own, or to none for a fault of the platform.
    :param is_refresh: whether the refresh makes what is deployed again: nobody's push.
    """

    run_id: str
    commit: str
    requested_at: datetime
    begun: bool = True
    running: bool = False
    accepted: bool = False
    ending: bool = False
    ready: bool = False
    failing: bool = False
    held: bool = False
    deployed: bool = False
    answered: bool = False
    is_refresh: bool = False

    @property
    def order(self) -> tuple[datetime, str]:
        """Its place in the queue."""
        return self.requested_at, self.run_id

    @property
    def may_go(self) -> bool:
        """Whether nothing is known yet that keeps it from being deployed."""
        return (self.running or not self.begun) and not (self.failing or self.held or self.ending)


def ended_by(own: Contender, others: Iterable[Contender], mode: Mode) -> Contender | None:
    """Give the newer release for which one ends before it is ready; None if it goes on.

    :param others: every other release of the service in the environment since the last that was answered, at least.
    """
    known = list(others)
    newer = [one for one in known if one.order > own.order]
    if deployed := _newest(one for one in newer if one.deployed):
        return deployed
    if mode is Mode.EVERY_COMMIT or own.ready or own.deployed:
        return None
    going = [one for one in newer if one.may_go]
    if own.is_refresh or (not own.accepted and any(_is_at_work(one) for one in known)):
        # nobody waits for its verdict in vain: nobody has asked for it, or that of another comes first
        return _newest(going)
    until = _unanswered_since(own, known) + BURST
    return _newest(one for one in going if one.requested_at <= until)


def superseded_by(newer: Iterable[Contender], mode: Mode = Mode.NEWEST) -> Contender | None:
    """Give the newest release for which an older one must not be deployed any more.

    It was deployed; or is ready to be, where not every commit goes.
    """

    def goes(one: Contender) -> bool:
        return one.deployed or (mode is Mode.NEWEST and one.running and one.ready and one.may_go)

    return _newest(one for one in newer if goes(one))


def waits_for(own: Contender, others: Iterable[Contender], mode: Mode) -> Contender | None:
    """Give the older release whose end one that is ready waits for: the oldest, where each goes in order."""
    if mode is Mode.NEWEST:
        return None
    older = (
        one for one in others if one.order < own.order and (one.running or not one.begun) and not one.held
    )
    return min(older, key=lambda one: one.order, default=None)


def _is_at_work(one: Contender) -> bool:
    return one.running and one.accepted and one.may_go and not one.is_refresh


def _unanswered_since(own: Contender, others: Sequence[Contender]) -> datetime:
    """Give when the oldest push was asked for since the last before ``own`` that has had an answer."""
    pushes = [own, *(one for one in others if not one.is_refresh)]
    answered = max((one.order for one in pushes if one.answered and one.order < own.order), default=None)
    return min(one.requested_at for one in pushes if answered is None or one.order > answered)


def _newest(found: Iterable[Contender]) -> Contender | None:
    return max(found, key=lambda one: one.order, default=None)
