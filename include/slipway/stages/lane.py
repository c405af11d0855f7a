"""The lane: one run at a time changes a service's environment, the newest that is ready; an older one ends superseded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import PokeReturnValue, get_current_context
from airflow.sdk.exceptions import AirflowRuntimeError

from slipway.errors import Permanent, Superseded, Transient
from slipway.ledger import rollbacks
from slipway.release import Contender, yields_to
from slipway.stages import connections
from slipway.stages.image import IMAGE
from slipway.stages.lanes import MARGIN_S, give_way, refuse_held
from slipway.stages.outcome import stage
from slipway.stages.sensor import StageSensor
from slipway.stages.stage import Made

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.ledger import Ledger

YIELD_S = 60
"""Seconds that a release which is ready waits for the gates of a newer one: about as long as those take."""

WAIT_S = 5400
"""Seconds that a release waits for the lane: a run that holds it ends within its own two hours."""


def lane(service: Service) -> StageSensor:
    """Give the setup task that waits for the lane and takes it, or ends the release as superseded."""
    began: list[float] = []

    def take() -> PokeReturnValue:
        began.append(time.monotonic())
        context = get_current_context()
        ledger, run_id = connections.ledger(), context["dag_run"].run_id
        environment = connections.platform().environment
        record = ledger.record(run_id)
        assert record is not None
        refuse_held(service.service, environment, record.commit, record.config_revision, record.digest)
        newer = _alive(context, service, ledger.newer(run_id))
        give_way(newer)
        if (ahead := yields_to(newer)) and time.monotonic() - began[0] < YIELD_S:
            if len(began) == 1:
                print(
                    f"{ahead.run_id} is newer and at its gates: waiting for its verdict, {YIELD_S} s at most"
                )
            return PokeReturnValue(False)
        holder = ledger.lane_acquire(service.service, environment, run_id, MARGIN_S)
        if holder is None:
            try:
                # once more, now that nobody can overtake
                give_way(_alive(context, service, ledger.newer(run_id)))
            except Superseded:
                ledger.lane_release(service.service, environment, run_id)
                raise
            print(f"this run has the lane of {service.service} in {environment}")
            return PokeReturnValue(True)
        if is_run(ledger, holder.run_id) and not runs(context, service, holder.run_id):
            print(f"{holder.run_id} has ended without leaving the lane: it is free")
            ledger.lane_release(service.service, environment, holder.run_id)
        else:
            print(
                f"{holder.run_id} has the lane, until {holder.expires_at:%H:%M:%S} UTC if nothing is heard of it"
            )
        return PokeReturnValue(False)

    sensor = StageSensor(
        task_id="lane",
        task_display_name="Take the lane",
        python_callable=take,
        timeout_s=WAIT_S,
        late=Transient,
        poke_interval=1.0,
        pool="default_pool",
        changes=False,
    )
    sensor.is_setup = True
    return sensor


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


ROLLBACK = "rollback"
"""Id of the DAG that rolls back by hand."""


def is_run(ledger: Ledger, run_id: str) -> bool:
    """Tell whether a holder of a lane is a run whose state Airflow can be asked for: a release, or a rollback."""
    return ledger.record(run_id) is not None or rollbacks.find(ledger, run_id) is not None


def _alive(context: Context, service: Service, newer: list[Contender]) -> list[Contender]:
    """Leave out what the ledger calls running though its run has ended: nobody waits for the dead."""
    return [one for one in newer if one.deployed or (one.running and runs(context, service, one.run_id))]


def runs(context: Context, service: Service, run_id: str) -> bool:
    """Tell whether the run of a release, or of a rollback by hand, goes on, by Airflow's word."""
    try:
        dag_id = ROLLBACK if rollbacks.find(connections.ledger(), run_id) else service.dag_id
        state: str = context["ti"].get_dagrun_state(dag_id, run_id)
        return state in ("queued", "running")  # equal to these words, though it may be an enum of its own
    except AirflowRuntimeError as e:
        if (e.error.detail or {}).get("status_code") == 404:  # deleted from Airflow
            return False
        raise Permanent(
            f"Airflow does not tell the state of {run_id}: {e}", code="airflow.state-not-told"
        ) from e


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
