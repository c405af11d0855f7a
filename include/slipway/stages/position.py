"""Reading the world for `slipway.release.where`: the record, what is deployed, what was asked for since, whose the lane is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from slipway.errors import Transient
from slipway.release.where import Lane, Position, World, where
from slipway.release.where import lane as decide_lane

if TYPE_CHECKING:
    from collections.abc import Callable

    from slipway.ledger.records import Holder, Release


class Records(Protocol):
    """What is asked of the ledger for that."""

    def record(self, run_id: str) -> Release | None:
        """Give the release of a run."""

    def active(self, service: str, environment: str) -> Release | None:
        """Give the release that is deployed now, good or not."""

    def overtaken_by(self, run_id: str) -> str | None:
        """Give the newest release that was asked for later, was deployed, and was not left again."""


class Lanes(Protocol):
    """What is asked of the ledger to take a lane."""

    def lane_acquire(self, service: str, environment: str, run_id: str, ttl_s: float) -> Holder | None:
        """Take the lane, or keep it; give who else holds it."""

    def lane_release(self, service: str, environment: str, run_id: str) -> bool:
        """Let the lane go if that run holds it."""


def of(
    ledger: Records,
    run_id: str,
    service: str,
    environment: str,
    *,
    goes_on: bool | None = None,
    serves: Callable[[Release], bool] | None = None,
) -> Position:
    """Give where a release is.

    :param goes_on: whether its run does, by Airflow's word; None if nobody has asked.
    :param serves: looks at the cluster for the release that it was left for, if it was left: whether that one serves.
    """
    record = ledger.record(run_id)
    if record is None:
        return where(World(run_id, None))
    active = ledger.active(service, environment)
    at = active.run_id if active else None
    left_for = record.rolled_back_to
    returned = serves(active) if serves and active and at == left_for and at != run_id else None
    return where(
        World(
            run_id,
            record.status,
            goes_on=goes_on,
            active=at,
            left_for=left_for,
            overtaken_by=ledger.overtaken_by(run_id),
            serves=returned,
        )
    )


def take_lane(
    ledger: Lanes,
    run_id: str,
    service: str,
    environment: str,
    *,
    ttl_s: float,
    wait_s: float,
    goes_on: Callable[[str], bool | None],
    waited: Callable[[], float],
    wait: Callable[[str], None],
) -> None:
    """Wait for the lane and take it; from a run that has ended without leaving it, at once.

    :param ttl_s: seconds until it is anybody's, unless renewed. :param wait_s: seconds to wait at most.
    :param goes_on: tells of a run whether it does, by Airflow's word; None if Airflow does not know of it.
    :param waited: gives for how many seconds it has been waited. :param wait: waits for what it is told.
    :raises Transient: if another has it for longer than that.
    """
    while holder := ledger.lane_acquire(service, environment, run_id, ttl_s):
        if decide_lane(run_id, holder.run_id, holder_goes_on=goes_on(holder.run_id)) is Lane.DEAD:
            print(f"{holder.run_id} has ended without leaving the lane: it is free")
            ledger.lane_release(service, environment, holder.run_id)
            continue
        if waited() > wait_s:
            raise Transient(
                f"{holder.run_id} has the lane of {service} in {environment} for more than {wait_s:.0f} s",
                code="lane.held-too-long",
                remedy="wait for its end, or mark that run as failed in Airflow: a failed one leaves the lane",
            )
        wait(f"{holder.run_id} has the lane")
