"""The release DAG of a service: the one place where the stages are wired together."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, Param

from slipway.catalog import catalog_directory, load_service
from slipway.stages import (
    accept,
    build,
    checkout,
    deploy,
    gate,
    image,
    lane,
    report,
    rollback,
    scan,
    test,
    verify,
    xcom,
)
from slipway.stages.outcome import DEFAULTS

_DOC = """
### {title}: release

{description}

One run takes one commit of `{repository}` ({branch}) to a healthy, verified, reported deployment in namespace
`{namespace}`. All of build, test and scan must pass before an image is built. Migrations run only if the database lacks
a changeset, the playbook only if it changed. **Clear** any task to try it again: each first looks at what is done already.
Pushes are gated side by side; the newest that is ready is deployed, and older ones end superseded. Before anything changes, the
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
        max_active_runs=4,  # gated side by side; the lane lets one at a time change the environment
        dagrun_timeout=timedelta(hours=2),
        tags=["release", service.service, f"team:{service.team}"],
        default_args={**DEFAULTS, "owner": service.team},
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
        accepted, sources = accept.accept(service), checkout.checkout(service)
        fetched = checkout.dependencies(service)
        gates = [build.build(service), test.test(service), scan.scan(service)]
        required = [
            one.task_id
            for group in gates
            for one in group.iter_tasks()
            if not (
                one.is_setup or one.is_teardown
            )  # what must have passed is the gates, not what stands beside them
        ]
        passed = gate.gate(required)
        published, deployed, verified = image.image(service), deploy.deploy(service), verify.verify(service)
        taken = lane.lane(service)
        left = lane.unlane(service).as_teardown(setups=taken)
        (
            accepted
            >> sources
            >> fetched
            >> gates
            >> passed
            >> published
            >> taken
            >> deployed
            >> verified
            >> left
        )
        watched = ["deploy.apply", "deploy.rollout", "verify.smoke", "verify.health"]
        if service.deploy.migrations and service.deploy.order == "after":
            watched.insert(2, "deploy.migrate")
        watched = [name for name in watched if name in dag.task_dict]
        undone = rollback.rollback(service, watched)
        [dag.get_task(name) for name in watched] >> undone >> left
        # of all that may still run when something has failed (groups leave their teardowns out); image and deploy are
        # chains that end in verify, and edges from each of them would only hide the graph
        teardowns = [one for one in dag.tasks if one.is_teardown]
        reported = report.report(service).operator.as_teardown()
        [*gates, verified, undone, *teardowns] >> reported
    return dag
