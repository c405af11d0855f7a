"""Whether a run goes on, by Airflow's word: the ledger's is that of its tasks, and a killed one says nothing."""

from __future__ import annotations

from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError

from slipway.errors import Permanent
from slipway.ledger import rollbacks
from slipway.stages import connections

ROLLBACK = "rollback"
"""Id of the DAG that rolls back by hand."""


def alive(context: Any, run_id: str, dag_id: str | None = None) -> bool:
    """Tell whether the run of a release, or of a rollback by hand, goes on or waits for its turn.

    :param dag_id: of the service's releases; None is the one that the task is of.
    :raises Permanent: if Airflow does not tell.
    """
    ti = context["ti"]
    try:
        dag_id = ROLLBACK if rollbacks.find(connections.ledger(), run_id) else (dag_id or ti.dag_id)
        state: str = ti.get_dagrun_state(dag_id, run_id)
        return state in ("queued", "running")  # equal to these words, though it may be an enum of its own
    except AirflowRuntimeError as e:
        if (e.error.detail or {}).get("status_code") == 404:  # deleted from Airflow
            return False
        raise Permanent(
            f"Airflow does not tell the state of {run_id}: {e}", code="airflow.state-not-told"
        ) from e
