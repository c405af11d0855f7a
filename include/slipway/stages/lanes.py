"""Holding the lane of a service's environment: what a task does before it changes anything there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed, Transient
from slipway.release import Contender, Mode, superseded_by
from slipway.stages import connections, position, queue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow.sdk import Context

    from slipway.ledger import Ledger

MARGIN_S = 180
"""Seconds that the lane is held beyond a task's own bound: until the next task begins, or this one is tried again."""


def refuse_held(
    service: str,
    environment: str,
    commit: str,
    config_revision: str | None = None,
    digest: str | None = None,
    *,
    ledger: Ledger | None = None,
) -> None:
    """Refuse a commit that is held, as such or with this configuration or image.

    :raises PolicyFailed: naming since when, and why.
    """
    known = ledger or connections.ledger()
    if hold := known.held(service, environment, commit, config_revision, digest):
        raise PolicyFailed(
            f"commit {commit} is held {hold.words()}",
            code="commit.held",
            remedy=f"push a newer commit, or let it go: `slipway holds release {service} {commit[:12]}`",
        )


def held(context: Context, *, going_back: bool = False) -> None:
    """Hold the lane for as long as this task may take.

    :param going_back: whether the task rolls back, which is done to a commit that is held.
    :raises Superseded: if a newer release was deployed meanwhile. :raises Transient: if another run has the lane.
    :raises PolicyFailed: if the commit is held.
    """
    task, run_id = context["task"], context["dag_run"].run_id
    service, environment = context["params"]["service"], connections.platform().environment
    ttl_s = (task.execution_timeout.total_seconds() if task.execution_timeout else 0) + MARGIN_S
    ledger = connections.ledger()
    if not going_back and (record := ledger.record(run_id)):
        refuse_held(service, environment, record.commit, record.config_revision, record.digest)
    if ledger.lane_renew(service, environment, run_id, ttl_s):
        return
    place = position.of(ledger, run_id, service, environment)
    if place.by and (newer := ledger.record(place.by)):
        raise queue.ended_for(newer.run_id, newer.commit, "was deployed")
    if holder := ledger.lane_acquire(service, environment, run_id, ttl_s):
        raise Transient(
            f"{holder.run_id} has the lane of {service} in {environment}, and this run's has expired",
            code="lane.expired",
            remedy="when that run has ended, clear this run's task `lane` with downstream",
        )


def give_way(newer: Iterable[Contender], mode: Mode = Mode.NEWEST) -> None:
    """End this release, which is ready, if one of the ``newer`` ones goes instead.

    :raises Superseded: naming it.
    """
    if by := superseded_by(newer, mode):
        raise queue.superseded(by)
