"""The reconciler's DAG: what git accepted while nothing was there to hear of it is released all the same."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable

from slipway.catalog import load_refresh, load_sound
from slipway.stages.outcome import DEFAULTS
from slipway.stages.reconcile import ReleaseMissed
from slipway.stages.voice import SendUnsent

DAG_ID, SEND = "reconcile", "send_unsent"

_DOC = """
### Reconcile

Looks at the release branch of each service. What was pushed while Airflow, the hook or the network was down was never asked
for: its release is started here, as the hook would have; also where the branch was moved back to a commit that was released
before. What was asked for last is left alone, however it ended; so is what is held, and a service that was never released.
How releases went while a forge, or who tells people, was away is told now, too.

Runs {schedule} ({timezone}), by `reconcile` of `include/refresh.yaml`; at any time by *Trigger*.
"""


def reconcile_dag() -> DAG:
    """Give the DAG that looks for missed pushes of every service of the catalog."""
    plan = load_refresh()
    with DAG(
        dag_id=DAG_ID,
        dag_display_name="Reconcile",
        description="Start the releases of pushes that nobody heard of.",
        doc_md=_DOC.format(schedule=plan.reconcile, timezone=plan.timezone),
        schedule=CronTriggerTimetable(plan.reconcile, timezone=plan.timezone),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        dagrun_timeout=timedelta(minutes=30),
        tags=["reconcile"],
        default_args={**DEFAULTS, "owner": "slipway"},
    ) as dag:
        for service in load_sound():
            ReleaseMissed(task_id=service.service, task_display_name=service.title, service=service)
        if on_forges := [service for service in load_sound() if service.source.forge]:
            SendUnsent(
                task_id=SEND, task_display_name="Tell forges what they do not know yet", services=on_forges
            )
    return dag
