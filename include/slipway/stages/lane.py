"""The lane: one run at a time changes a service's environment, the newest that is ready; an older one ends superseded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from slipway.errors import Superseded, Transient
from slipway.ledger import rollbacks
from slipway.release import waits_for
from slipway.stages import connections, links, queue
from slipway.stages.image import IMAGE
from slipway.stages.lanes import MARGIN_S, give_way, refuse_held
from slipway.stages.outcome import recorded, stage
from slipway.stages.runs import ROLLBACK, alive
from slipway.stages.stage import Made
from slipway.stages.waiting import LaneWait, WaitingOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.ledger import Ledger
    from slipway.stages.waiting import Wait

__all__ = ["ROLLBACK", "WAIT_S", "LaneOperator", "is_run", "lane", "runs", "unlane"]

WAIT_S = 5400
"""Seconds that a release waits for the lane at most, if its DAG does not say how long others may have it."""


class LaneOperator(WaitingOperator):
    """Takes the lane, or ends the release as superseded. The wait holds neither worker nor slot.

    :param wait_s: seconds that it waits at most.
    """

    operator_extra_links = (links.ReleaseLink(),)

    def __init__(self, *, service: Service, wait_s: float = WAIT_S, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service, self.wait_s = service, wait_s

    def work(self, context: Context, wait: Wait) -> None:
        """Look until it has the lane.

        :raises AirflowSkipException: if a newer release goes instead. :raises AirflowFailException: if the commit is held.
        """
        name, run_id = self.service.service, context["dag_run"].run_id
        with recorded(context):
            while waits := take(context, self.service):
                if wait.seconds("lane") > self.wait_s:
                    raise Transient(
                        f"the lane was not free after {self.wait_s:.0f} s: {waits}",
                        code="lane.timed-out",
                        remedy="see what that run is at; then clear this task with downstream",
                    )
                mode = str(queue.mode_of(context))
                wait.for_lane(LaneWait(name, connections.platform().environment, run_id, mode), waits)


def take(context: Context, service: Service) -> str | None:
    """Take the lane if it is this release's turn; give in words what is waited for if not.

    :raises Superseded: if a newer one goes instead. :raises PolicyFailed: if the commit is held.
    """
    ledger, run_id = connections.ledger(), context["dag_run"].run_id
    environment, mode = connections.platform().environment, queue.mode_of(context)
    record = ledger.record(run_id)
    assert record is not None
    refuse_held(service.service, environment, record.commit, record.config_revision, record.digest)
    own, others = ledger.queued(run_id)
    others = queue.alive(context, others)
    newer = [one for one in others if one.order > own.order]
    give_way(newer, mode)
    if ahead := waits_for(own, others, mode):
        return f"{ahead.run_id} is older and goes first"
    holder = ledger.lane_acquire(service.service, environment, run_id, MARGIN_S)
    if holder is None:
        try:
            # once more, now that nobody can overtake
            own, others = ledger.queued(run_id)
            give_way([one for one in queue.alive(context, others) if one.order > own.order], mode)
        except Superseded:
            ledger.lane_release(service.service, environment, run_id)
            raise
        print(f"this run has the lane of {service.service} in {environment}")
        return None
    if is_run(ledger, holder.run_id) and not runs(context, service, holder.run_id):
        ledger.lane_release(service.service, environment, holder.run_id)
        return f"{holder.run_id} has ended without leaving the lane: it is free now"
    return f"{holder.run_id} has the lane, until {holder.expires_at:%H:%M:%S} UTC if nothing is heard of it"


def lane(service: Service) -> LaneOperator:
    """Give the setup task that waits for the lane and takes it, or ends the release as superseded."""
    operator = LaneOperator(
        task_id="lane",
        task_display_name="Take the lane",
        service=service,
        pool="default_pool",
    )
    operator.is_setup = True
    return operator


def unlane(service: Service) -> Any:
    """Give the teardown task that leaves the lane."""

    @stage(
        task_id="unlane", task_display_name="Leave the lane", trigger_rule="all_done_setup_success", retries=6
    )
    def unlane() -> None:
        run_id, environment = get_current_context()["dag_run"].run_id, connections.platform().environment
        left = connections.ledger().lane_release(service.service, environment, run_id)
        print("the lane is free" if left else "the lane was not held any more")

    return unlane().operator


def is_run(ledger: Ledger, run_id: str) -> bool:
    """Tell whether a holder of a lane is a run whose state Airflow can be asked for: a release, or a rollback."""
    return ledger.record(run_id) is not None or rollbacks.find(ledger, run_id) is not None


def runs(context: Context, service: Service, run_id: str) -> bool:
    """Tell whether the run of a release, or of a rollback by hand, goes on, by Airflow's word."""
    return alive(context, run_id, service.dag_id)


LANE = Made(
    id="lane",
    title="Take the lane",
    after=(IMAGE,),
    setup=True,
    make=lambda service, _flow, **_task: lane(service),
)

UNLANE = Made(
    id="unlane",
    title="Leave the lane",
    undoes=(LANE,),
    make=lambda service, _flow, **_task: unlane(service),
)
