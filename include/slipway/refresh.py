"""The nightly refresh's DAG: what is deployed is looked at, released again if stale, repaired if drifted; then cleaned up."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronTriggerTimetable, Param

from slipway.catalog import catalog_directory, load_refresh, load_service
from slipway.errors import CatalogError
from slipway.stages import advisories, refresh, refresh_report, renewal, retention, xcom
from slipway.stages.outcome import DEFAULTS

DAG_ID = "staging_refresh"

_DOC = """
### Nightly refresh of staging

The advisories of packages are fetched anew, and the bases get what Debian has newer. Then, for each service of the catalog:
what is deployed is checked against the advisories, released again through the same stages if a base or toolbox image has
changed, and compared with the cluster; what has drifted is re-applied. Then images, volumes, reports and what ended runs left
behind are removed past their retention. A service that fails stops no other; the run is red if one did, after everything else
was done.

Runs {schedule} ({timezone}), by `include/refresh.yaml`; at any time with `slipway refresh run`, or here.
`slipway refresh show` prints the report.
"""


def refresh_dag() -> DAG:
    """Give the DAG that refreshes every service of the catalog."""
    plan = load_refresh()
    with DAG(
        dag_id=DAG_ID,
        dag_display_name="Refresh staging",
        description="Re-check, release again, repair and clean up what is deployed.",
        doc_md=_DOC.format(schedule=plan.schedule, timezone=plan.timezone),
        schedule=CronTriggerTimetable(plan.schedule, timezone=plan.timezone),
        catchup=False,
        max_active_runs=1,
        is_paused_upon_creation=False,
        dagrun_timeout=timedelta(hours=6),
        tags=["refresh"],
        default_args={**DEFAULTS, "owner": "slipway"},
        user_defined_filters=xcom.FILTERS,
        params={
            "retention": Param(
                None,
                type=["null", "object"],
                title="Retention",
                description='What is kept, for this run only, such as {"images": 5}; else as include/refresh.yaml says.',
            )
        },
    ) as dag:
        services, groups, names = [], [], []
        for file in sorted(catalog_directory().glob("*.yaml")):
            try:
                service = load_service(file)
            except CatalogError:
                groups.append(refresh.broken_group(file))
                names.append(file.stem)
                continue
            services.append(service)
            groups.append(refresh.service_group(service))
            names.append(service.service)
        cleaned = retention.clean(services)
        renewed = [advisories.renewing(), renewal.renewing(services)]
        parts = [*(one.operator for one in renewed), *cleaned.iter_tasks()]
        reported = refresh_report.report(names, [one.task_id for one in parts])
        renewed[0] >> renewed[1] >> groups
        groups >> cleaned >> reported >> refresh_report.verdict()
    return dag
