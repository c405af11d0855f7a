"""Who goes when several releases of a service want the same environment: the newest that is ready; older ones are superseded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Contender:
    """A release of the same service and environment that was asked for later than the one that wants to go.

    :param requested_at: when it was asked for: the order of the queue, whatever took longer afterwards.
    :param running: whether its run has not ended.
    :param ready: whether its image is in the registry, every gate having passed.
    :param failing: whether one of its stages has gone wrong: it will not be ready without a person.
    :param deployed: whether its manifests were applied, at any time.
    """

    run_id: str
    commit: str
    requested_at: datetime
    running: bool = False
    ready: bool = False
    failing: bool = False
    deployed: bool = False


def superseded_by(newer: Iterable[Contender]) -> Contender | None:
    """Give the newest release for which an older one must not be deployed any more: it was deployed, or is ready to be."""
    going = [one for one in newer if one.deployed or (one.running and one.ready and not one.failing)]
    return max(going, key=lambda one: (one.requested_at, one.run_id), default=None)


def yields_to(newer: Iterable[Contender]) -> Contender | None:
    """Give the newest release whose gates are still at work: worth a short wait, which may spare a rollout."""
    gating = [one for one in newer if one.running and not one.ready and not one.failing and not one.deployed]
    return max(gating, key=lambda one: (one.requested_at, one.run_id), default=None)
