"""The release DAG of a service, composed of what its stages say of themselves; it knows none by name."""

from __future__ import annotations

from airflow.sdk import DAG, Param

from slipway.catalog import catalog_directory, load_service
from slipway.release import Mode
from slipway.stages import queue, xcom
from slipway.stages.bounds import AT_ONCE, bound
from slipway.stages.lane import LANE, LaneOperator
from slipway.stages.operators import compose
from slipway.stages.outcome import DEFAULTS
from slipway.stages.sequence import release_of

_DOC = """
### {title}: release

{description}

One run takes one commit of `{repository}` ({branch}) to a healthy, verified, reported deployment in namespace
`{namespace}`. All of build, test and scan must pass before an image is built. Migrations run only if the database lacks
a changeset, the playbook only if it changed. **Clear** any task to try it again: each first looks at what is done already.
Of pushes close together the newest is gated; others are side by side, the newest that is ready is deployed, and older ones end
superseded (`queue` of the catalog). Before anything changes, the
task `plan` shows what will. What fails its rollout, smoke test or health is rolled back, if the schema allows it.

Start it with `git push`, with `slipway release {service}`, or here: without a commit, the head of `{branch}` is released.
"""


def release_dag(name: str) -> DAG:
    """Give the DAG that releases the catalog's service ``name``."""
    service = load_service(catalog_directory() / f"{name}.yaml")
    with DAG(
        dag_id=service.dag_id,
        dag_display_name=f"Release {service.title}",
        description=service.description,
        doc_md=_DOC.format(
            title=service.title,
            description=service.description,
            service=service.service,
            repository=service.source.repository,
            branch=service.source.branch,
            namespace=service.deploy.namespace,
        ),
        schedule=None,
        catchup=False,
        max_active_runs=AT_ONCE,
        tags=["release", service.service, f"team:{service.team}", *queue.tags(service)],
        default_args={**DEFAULTS, "owner": service.team, "weight_rule": "absolute"},
        user_defined_filters=xcom.FILTERS,
        params={
            "service": Param(service.service, type="string", const=service.service, title="Service"),
            "commit": Param(
                None,
                type=["null", "string"],
                pattern="^[0-9a-f]{40}$",
                title="Commit",
                description="Full hash. Empty: the head of the branch.",
            ),
            "ref": Param(
                f"refs/heads/{service.source.branch}", type="string", pattern="^refs/heads/.+", title="Ref"
            ),
            "fresh": Param(
                False,
                type="boolean",
                title="Fresh",
                description="Run every gate again, also where its verdict is known.",
            ),
            "infra": Param(
                False,
                type="boolean",
                title="Infrastructure",
                description="Run the playbook, also where it has not changed.",
            ),
        },
    ) as dag:
        flow = release_of(service)
        compose(service, flow)
        lane = dag.get_task(LANE.task_id)
        assert isinstance(lane, LaneOperator)
        bound(dag, flow, lane, Mode(service.queue))
        for one in dag.tasks:
            # Airflow gives a task the DAG's when it runs; to check them in each takes longer than all the rest of a parse
            one.params = {}
    return dag
