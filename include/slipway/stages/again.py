"""Releasing again what is stale: the release that the look asked for is started, and waited for in no worker's slot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import PokeReturnValue, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from slipway.errors import Permanent, PolicyFailed
from slipway.release import Status, given, obstacles
from slipway.stages.inspection import looked
from slipway.stages.operators import run_of
from slipway.stages.outcome import recorded, stage
from slipway.stages.stage import Group, Made, Run, Stage

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.ledger import Release
    from slipway.stages.flow import Flow

RELEASE_S = 7800
"""Seconds until a release that the refresh asked for must have ended: its own two hours, and what Airflow needs."""


class ReleaseAgain(TriggerDagRunOperator):
    """Starts the release that `look` asked for, unless it was started already; skipped if none is needed.

    One of the same commit counts as asked for right after the one that is deployed: any push since then is newer, and
    supersedes it.
    """

    def __init__(self, *, stage: Stage, service: Service, flow: Flow, **kwargs: Any) -> None:
        self.stage, self.service, self.flow = stage, service, flow
        super().__init__(trigger_dag_id=service.dag_id, logical_date=None, **kwargs)

    def execute(self, context: Context) -> None:
        """Start it.

        :raises AirflowSkipException: if nothing is stale.
        """
        with recorded(context):
            found = to_start(run_of(context, self.stage, self.service, self.flow))
        if found is None:
            return
        self.trigger_run_id = found.release
        self.conf = {"service": found.service, "commit": found.commit, "ref": found.ref}
        self.run_after = datetime.fromisoformat(found.requested_at)
        super().execute(context)


def to_start(run: Run) -> given.Looked | None:
    """Give what is to be started; None if it was already.

    :raises AirflowSkipException: if nothing is stale. :raises Permanent: if nothing can be started.
    """
    found, dag_id = looked(run), run.service.dag_id
    if found.release is None:
        raise AirflowSkipException("nothing is stale")
    there = run.runs.count(dag_id, run_ids=[found.release])
    for one in obstacles.of_dag(obstacles.Dag(dag_id, is_paused=run.runs.is_paused(dag_id))):
        raise Permanent(
            f"nothing can be released: {one.what}",
            code=one.code,
            remedy=f"{one.remedy}; then clear this task with downstream",
        )
    if there:
        print(f"{found.release} was started already")
        return None
    return found


def ended(run: Run) -> given.ReleasedAgain | None:
    """Give how the release ended; None while it goes on.

    :raises PolicyFailed: if it failed. :raises Permanent: if it errored, or never ended.
    """
    release = str(looked(run).release)
    if run.runs.state(run.service.dag_id, release) not in ("success", "failed"):
        return None
    record = run.world.ledger().record(release)
    if record is None:
        raise Permanent(
            f"{release} ended without a record",
            code="refresh.release-without-record",
            remedy="see its task `accept` in Airflow",
        )
    return given.ReleasedAgain(said=[said(record)])


def said(ended: Release) -> str:
    """Give the end of a release that the refresh asked for.

    :raises PolicyFailed: if it failed. :raises Permanent: if it errored, or never ended.
    """
    if ended.status is Status.PASSED:
        return f"released again: {ended.run_id}, image {ended.digest}"
    if ended.status is Status.SUPERSEDED:
        return f"{ended.run_id} was superseded by {ended.superseded_by}"
    kind = PolicyFailed if ended.status is Status.FAILED else Permanent
    why = next(iter((ended.reason or "").splitlines()), "see its run in Airflow")
    raise kind(
        f"{ended.run_id} {ended.status} at {ended.stage or 'no stage'}: {why}",
        code="refresh.release-not-healthy",
        remedy=f"slipway releases show {ended.service} {ended.commit[:12]}",
    )


def again(group: Group, look: Stage) -> tuple[Stage, Stage]:
    """Give the stages that start the release and wait for its end."""
    started: Stage
    waited: Stage

    def start(service: Service, flow: Flow, **task: Any) -> ReleaseAgain:
        return ReleaseAgain(stage=started, service=service, flow=flow, **task)

    def wait(service: Service, flow: Flow, **task: Any) -> Any:
        @stage(
            kind="sensor",
            # a slot of the executor is free between two looks: the releases that are waited for need them
            mode="reschedule",
            poke_interval=5,
            timeout=RELEASE_S,
            execution_timeout=timedelta(seconds=60),
            **task,
        )
        def released() -> PokeReturnValue:
            found = ended(run_of(get_current_context(), waited, service, flow))
            return PokeReturnValue(found is not None, found.dump() if found else None)

        return released().operator

    started = Made(
        id="release", title="Release again", group=group, after=(look,), asks=(given.Looked,), make=start
    )
    waited = Made(
        id="released",
        title="Released",
        group=group,
        after=(started,),
        asks=(given.Looked,),
        gives=given.ReleasedAgain,
        make=wait,
    )
    return started, waited
