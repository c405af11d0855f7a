"""Reconciliation: the head of a release branch that nobody has asked for is released."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from slipway.ledger import deliveries, wishes
from slipway.release import Status, obstacles
from slipway.release.where import Where
from slipway.stages import connections, lane, position
from slipway.stages.outcome import recorded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from slipway.catalog import Service

GRACE_S = 15.0
"""Seconds between two looks at a head that nobody has asked for: a hook may take five to start the release of a push."""


class ReleaseMissed(TriggerDagRunOperator):
    """Starts the release of the branch's head, as the hook would have, if it is wanted and has none; skipped with why not.

    Wanted is what the branch is at, if that is not what was asked for last: a push that nobody heard of, forward or back.
    Whoever else asks for it at the same moment is told the same run.
    """

    def __init__(self, *, service: Service, **kwargs: Any) -> None:
        self.service = service
        super().__init__(
            trigger_dag_id=service.dag_id, logical_date=None, skip_when_already_exists=True, **kwargs
        )

    def execute(self, context: Context) -> None:
        """Start it.

        :raises AirflowSkipException: if there is nothing to start, or somebody means that there should not be.
        """
        name, branch = self.service.source.repository, self.service.source.branch
        with recorded(context):
            repository = connections.repository(self.service.source)
            heard = deliveries.waiting(connections.ledger()).get(self.service.service, [])
            head = repository.head(branch)
            for pause_s in (GRACE_S, 0):
                if why := why_not(context, self.service, head):
                    settle(self.service, head, heard)
                    raise AirflowSkipException(f"{name}: {branch} is at {head}: {why}")
                time.sleep(pause_s)
            if repository.head(branch) != head:
                raise AirflowSkipException(f"{name}: {branch} has just moved: the next look is soon enough")
            asked = ask(self.service, head, asked_by="reconcile")
            settle(self.service, head, heard)
        print(
            f"{name}: {branch} is at {head}, whose release nobody has started: {asked.run_id} is started now"
        )
        self.trigger_run_id = asked.run_id
        self.conf = {"service": self.service.service, "commit": head, "ref": f"refs/heads/{branch}"}
        super().execute(context)


def ask(service: Service, head: str, *, asked_by: str) -> wishes.Asked:
    """Ask for the release of the branch's head."""
    return wishes.ask(
        connections.ledger(),
        service.service,
        connections.platform().environment,
        head,
        ref=f"refs/heads/{service.source.branch}",
        is_head=True,
        asked_by=asked_by,
    )


def settle(service: Service, head: str, heard: Sequence[deliveries.Waiting]) -> None:
    """Settle the deliveries that had come before the look, if the run that they mean has been asked for."""
    ledger, environment = connections.ledger(), connections.platform().environment
    found = wishes.look(ledger, service.service, environment, head) if heard else None
    if found and not found[0].is_new:
        deliveries.settle(ledger, service.service, heard[-1].id, found[0].run_id)


def why_not(context: Context, service: Service, head: str) -> str | None:
    """Give why nothing is to be started for the branch's head; None if its release is missing."""
    ti: Any = context["ti"]
    ledger, name, environment = connections.ledger(), service.service, connections.platform().environment
    found = wishes.look(ledger, name, environment, head)
    if found is None:
        return f"{name} was never released; the first time is somebody's to say: slipway release {name}"
    answer, status = found
    if status:
        is_open = status is Status.RUNNING
        goes_on = lane.runs(context, service, answer.run_id) if is_open else None
        place = position.of(ledger, answer.run_id, name, environment, goes_on=goes_on)
        if place.where is Where.ABANDONED:
            return f"{answer.run_id} is {place}; clear its task `report`"
        return f"{answer.run_id} is {status}"
    dag = obstacles.Dag(service.dag_id, is_paused=ti.get_dag(service.dag_id).is_paused)
    hold = ledger.held(name, environment, head)
    in_the_way = obstacles.of_release(dag, service=name, commit=head, held=hold.words() if hold else None)
    if in_the_way:
        return str(in_the_way[0])
    # asked for, or started by who does not ask (Airflow's form), and its first task is still to come
    if ti.get_dr_count(dag_id=service.dag_id, run_ids=[answer.run_id]):
        return f"{answer.run_id} was started already"
    return None
