"""Reconciliation: the head of a release branch that nobody has asked for is released."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk.exceptions import AirflowSkipException

from slipway.release import run_id
from slipway.stages import connections
from slipway.stages.outcome import recorded

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service

GRACE_S = 15.0
"""Seconds between two looks at a head that nobody has asked for: a hook may take five to start the release of a push."""


class ReleaseMissed(TriggerDagRunOperator):
    """Starts the release of the branch's head, as the hook would have, if there is none; skipped with why not otherwise.

    The run's id comes from the commit: whoever else starts it at the same moment starts the same one.
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
            head = repository.head(branch)
            for pause_s in (GRACE_S, 0):
                if why := self._why_not(context, head):
                    raise AirflowSkipException(f"{name}: {branch} is at {head}: {why}")
                time.sleep(pause_s)
            if repository.head(branch) != head:
                raise AirflowSkipException(f"{name}: {branch} has just moved: the next look is soon enough")
        print(f"{name}: {branch} is at {head}, whose release nobody has started: it is started now")
        self.trigger_run_id = run_id(self.service.service, head)
        self.conf = {"service": self.service.service, "commit": head, "ref": f"refs/heads/{branch}"}
        super().execute(context)

    def _why_not(self, context: Context, head: str) -> str | None:
        ti: Any = context["ti"]
        ledger, service = connections.ledger(), self.service.service
        if not ledger.releases(service, limit=1):
            return f"{service} was never released; the first time is somebody's to say: slipway release {service}"
        if known := ledger.release(service, head):
            return f"{known.run_id} is {known.status}"
        if hold := ledger.held(service, connections.platform().environment, head):
            return f"it is held: {hold.reason}"
        run = run_id(service, head)
        if ti.get_dr_count(dag_id=self.trigger_dag_id, run_ids=[run]):
            return f"{run} was started already"
        if ti.get_dag(self.trigger_dag_id).is_paused:
            return f"{self.trigger_dag_id} is paused in Airflow"
        return None
