"""The DAG that rolls a service back by hand; `slipway rollback` starts it."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from slipway.catalog import load_sound
from slipway.stages import by_hand, lane, report, restoring
from slipway.stages.outcome import DEFAULTS

DAG_ID = lane.ROLLBACK

FIRST = 10_000
"""Weight of its tasks: before those of any release."""

_DOC = """
### Roll back

Applies again what an earlier good release of a service applied: its own manifests, by digest, without a build. It must work
with the schema that the database has now: what was added since does no harm, what was taken away does. The commit that is
left is **held**: neither the nightly refresh nor a trigger brings it back until `slipway holds release` lets it go, or a
newer commit is pushed.

Start it with `slipway rollback SERVICE [--to COMMIT]`, or here.
"""


def rollback_dag() -> DAG:
    """Give the DAG that rolls back any service of the catalog."""
    services = load_sound()
    with DAG(
        dag_id=DAG_ID,
        dag_display_name="Roll back",
        description="Apply an earlier good release again.",
        doc_md=_DOC,
        schedule=None,
        catchup=False,
        max_active_runs=8,
        is_paused_upon_creation=False,
        dagrun_timeout=timedelta(hours=1, seconds=max(map(restoring.longest_s, services), default=0)),
        tags=["rollback"],
        default_args={**DEFAULTS, "owner": "slipway", "weight_rule": "absolute", "priority_weight": FIRST},
        params={
            "service": Param(
                services[0].service if services else None,
                type="string",
                enum=[one.service for one in services],
                title="Service",
            ),
            "to": Param(
                None,
                type=["null", "string"],
                pattern="^[0-9a-f]{40}$",
                title="Commit",
                description="Full hash of a commit that was good here. Empty: the last good one that works with the schema.",
            ),
            "reason": Param(
                None,
                type=["null", "string"],
                maxLength=500,
                title="Reason",
                description="Why, for those who read it.",
            ),
        },
    ) as dag:
        restored = by_hand.by_hand(services)
        left = by_hand.unlane()
        restored >> by_hand.tell(services, report.note) >> left
        restored >> left
        left.operator.as_teardown()
    return dag
