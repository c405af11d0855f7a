"""Rollback: what the last good release applied is applied again, by digest and without a build, and the bad commit is held."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from slipway.adapters import cluster
from slipway.errors import PolicyFailed, SlipwayError, Transient
from slipway.ledger import rollbacks
from slipway.release import Candidate, Choice, Outcome, Status, choose, decisive, given, manifests
from slipway.stages import connections, lane, lanes, xcom
from slipway.stages.outcome import recorded, seconds, stage
from slipway.stages.sensor import Told, Waits, on_rollout
from slipway.stages.stage import CLUSTER, Made, Stage
from slipway.stages.verify import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slipway.catalog import Service
    from slipway.ledger import Ledger, Release

LOOKED_FOR = 3
"""So many of the last good releases are looked for in the registry: the first that fits is taken."""

MOST_TOLD = 6
"""So many releases that do not fit are told, each with why."""

LANE_S = 600
"""Seconds that a rollback by hand waits for a release that changes the environment just now."""


def settle(api: Any, service: Service, digest: str) -> None:
    """Wait until every pod of the service is ready and runs ``digest``.

    :raises SlipwayError: if that is not so in the time of its rollout, or never will be: PolicyFailed only if that is the
        service's own fault.
    """
    plan, timeout_s = service.deploy, service.deploy.rollout.timeout_s

    def lacks() -> Waits | None:
        state = cluster.rollout(api, plan.namespace, plan.deployment, digest, timeout_s=timeout_s)
        if not state.complete:
            return on_rollout(state)
        print(state.message)
        return None

    _until(lacks, "the rollout", timeout_s)


def _until(lacks: Callable[[], Waits | None], what: str, timeout_s: float) -> None:
    """Ask until nothing lacks, and tell what does whenever it changes.

    :raises SlipwayError: if the time is over: whose fault it is says what lacked last.
    """
    deadline, tell = time.monotonic() + timeout_s, Told()
    while waits := lacks():
        if time.monotonic() > deadline:
            raise waits.over(what, timeout_s)
        tell(waits.text)
        time.sleep(0.2)


def chosen(
    ledger: Ledger, service: Service, environment: str, leaving: Release, to: str | None = None
) -> Choice:
    """Choose the release that ``leaving`` is left for.

    :param to: a commit that a person asks for.
    """
    candidates: list[Candidate] = []
    for one in ledger.good_ones(service.service, environment):
        restorable = bool(one.manifests and one.digest)
        if restorable and len(candidates) < LOOKED_FOR:
            restorable = _published(service, str(one.digest))
        candidates.append(_candidate(one, restorable=restorable))
    held = {
        one.run_id
        for one in candidates
        if ledger.held(service.service, environment, one.commit, one.config, one.digest)
    }
    applied = ledger.changesets(service.service, environment) if service.deploy.migrations else []
    return choose(candidates, applied, leaving=_candidate(leaving), held=held, to=to)


def _published(service: Service, digest: str) -> bool:
    """Tell whether an image is still in the registry; if that cannot be asked, the nodes may have it all the same."""
    try:
        registry, _ = connections.registry()
        return registry.digest(service.image.repository, digest) is not None
    except Transient as e:
        print(f"not looked for in the registry: {e.message}")
        return True


def _candidate(release: Release, *, restorable: bool = True) -> Candidate:
    return Candidate(
        release.run_id,
        release.commit,
        release.schema_revision,
        release.works_from,
        release.config_revision,
        release.digest,
        restorable,
    )


def restore(ledger: Ledger, service: Service, leaving: Release, to: Release, reason: str) -> None:
    """Apply again what ``to`` applied, and wait until it serves. Repeats are harmless.

    :raises SlipwayError: if it does not come to serve: PolicyFailed only if that is its own fault.
    """
    api, health = connections.cluster(), service.verify.health
    # first, so that whoever comes after a kill -9 goes on, and nothing else brings the commit back
    ledger.rolled_back(leaving.run_id, to.run_id, reason)
    namespace = service.deploy.namespace
    # an object that someone has edited meanwhile is no reason to stay with what does not work
    changes = cluster.apply(api, to.manifests, force=True)
    changes += cluster.prune(
        api,
        namespace,
        manifests.inventory(leaving.manifests or ()),
        manifests.inventory(to.manifests),
        service=service.service,
        kinds=service.deploy.kinds,
    )
    print("\n".join(changes))
    settle(api, service, str(to.digest))
    _until(
        lambda: reports(connections.Outside().cluster(), service, to.commit), "the service", health.timeout_s
    )
    print(f"{health.version} reports {to.commit}")


def longest_s(service: Service) -> float:
    """Give the seconds that :func:`restore` may take: for the pods, and until they report their commit."""
    return service.deploy.rollout.timeout_s + service.verify.health.timeout_s


def nothing_fits(leaving: Release, choice: Choice, to: str | None = None) -> PolicyFailed:
    """Give the refusal: why nothing can be returned to, and what a person can do."""
    what = (
        f"commit {to} was not good here, or is what is deployed" if to else "no earlier release was good here"
    )
    if choice.refused:
        what = choice.refused[0]
    nearest = (
        f"the nearest that fits is commit {choice.nearest.commit[:12]} ({choice.nearest.run_id}); "
        if choice.nearest
        else ""
    )
    return PolicyFailed(
        f"{leaving.run_id} (commit {leaving.commit[:12]}) cannot be rolled back: {what}",
        code="rollback.not-possible",
        remedy=f"{nearest}push a commit that mends it: what is deployed now stays until then",
        lines=[
            *choice.refused[1:MOST_TOLD],
            *([f"… and {len(choice.refused) - MOST_TOLD} more"] if len(choice.refused) > MOST_TOLD else []),
        ],
    )


def rollback(service: Service, watched: Sequence[str]) -> Any:
    """Give the task that rolls back a release that was deployed, and failed one of the ``watched`` stages.

    A stage that only errored is no verdict on the commit: then all stays as it is, and "Clear" goes on.
    """

    @task(
        task_id="rollback",
        task_display_name="Roll back",
        pool="slipway_cluster",
        trigger_rule="one_failed",
        execution_timeout=seconds(longest_s(service)),
    )
    def rollback() -> None:
        context = get_current_context()
        with recorded(context) as ending:
            ledger, run_id = connections.ledger(), context["dag_run"].run_id
            environment = connections.platform().environment
            record, active = ledger.record(run_id), ledger.active(service.service, environment)
            assert record is not None
            is_deployed = active is not None and active.run_id == run_id
            if not is_deployed and not record.rolled_back_to:  # and the lane may be another's
                raise AirflowSkipException("nothing of this release is deployed")
            lanes.held(context, going_back=True)
            outcomes = {one.name: one.outcome for one in record.stages if one.name in watched}
            worst = decisive(outcomes)
            if is_deployed:
                if worst is None or outcomes[worst] is not Outcome.FAILED:
                    raise AirflowSkipException(
                        f"{worst or 'a stage'} says nothing of the commit: what is deployed stays, and Clear goes on"
                    )
                why = next(one.reason for one in record.stages if one.name == worst)
                first = next(iter((why or "").splitlines()), "it does not say why")
                reason = first if first.startswith((f"{worst} ", f"{worst}:")) else f"{worst} failed: {first}"
                choice = chosen(ledger, service, environment, record)
                if choice.to is None:
                    ledger.hold(service.service, environment, record.commit, reason, run_id)
                    raise nothing_fits(record, choice)
                to, refused = choice.to.run_id, choice.refused
            else:  # an earlier try was killed, or the task was cleared
                hold = ledger.held(
                    service.service, environment, record.commit, record.config_revision, record.digest
                )
                reason, to, refused = (
                    hold.reason if hold else "it was rolled back",
                    str(record.rolled_back_to),
                    (),
                )
            for one in refused:
                print(f"passed over: {one}")
            target = ledger.record(to)
            assert target is not None
            if active is None or active.run_id in (run_id, to):
                restore(ledger, service, record, target, reason)
            ending.outcome = Outcome.ROLLED_BACK
            ending.reason = f"rolled back to {target.run_id}: commit {target.commit}, image {target.digest}"
            print(ending.reason)

    return rollback()


ROLLBACK = Made(
    id="rollback",
    title="Roll back",
    follows=lambda one, service: isinstance(one, Stage) and one.rolls_back(service),
    before=(lane.UNLANE,),
    pool=CLUSTER,
    holds_lane=True,
    make=lambda service, flow, **_task: rollback(service, flow.rolling_back).operator,
)


def by_hand(services: Sequence[Service]) -> Any:
    """Give the task that takes the lane, chooses, and restores, as a person asked for."""
    known = {one.service: one for one in services}

    @stage(
        task_id="restore",
        task_display_name="Restore",
        pool="slipway_cluster",
        execution_timeout=seconds(LANE_S + max(map(longest_s, services), default=0)),
    )
    def restore_() -> given.Restored:
        context = get_current_context()
        params, run_id = context["params"], context["dag_run"].run_id
        service, environment = known[params["service"]], connections.platform().environment
        ledger, to = connections.ledger(), params.get("to")
        asked_by = context["dag_run"].triggering_user_name
        before = rollbacks.begin(
            ledger, run_id, service.service, environment, asked_by, params.get("reason") or None
        )
        try:
            done = _restored(context, ledger, service, before, to)
        except SlipwayError as e:
            state = rollbacks.FAILED if isinstance(e, PolicyFailed) else rollbacks.ERRORED
            rollbacks.finish(ledger, run_id, state)
            raise
        rollbacks.finish(ledger, run_id, rollbacks.PASSED)
        return done

    return restore_()


def _restored(
    context: Any, ledger: Ledger, service: Service, asked: rollbacks.Rollback, to: str | None
) -> given.Restored:
    """Choose, if no earlier try of this run has, and restore; give what the command tells."""
    run_id, environment = asked.run_id, asked.environment
    if asked.from_run_id is None:
        leaving = ledger.active(service.service, environment)
        if leaving is None:
            raise PolicyFailed(
                f"nothing of {service.service} is deployed in {environment}",
                code="rollback.nothing-deployed",
                remedy="release it first",
            )
        if to and leaving.commit == to:
            print(f"{leaving.run_id} is deployed already")
            rollbacks.chosen(ledger, run_id, leaving.run_id, leaving.run_id)
            return given.Restored(
                left=leaving.run_id, to=leaving.run_id, commit=leaving.commit, digest=leaving.digest
            )
        if (choice := chosen(ledger, service, environment, leaving, to)).to is None:
            raise nothing_fits(leaving, choice, to)
        _take(context, ledger, service, environment, run_id)
        # again, now that nobody else changes anything
        leaving = ledger.active(service.service, environment)
        assert leaving is not None
        choice = chosen(ledger, service, environment, leaving, to)
        if choice.to is None:
            raise nothing_fits(leaving, choice, to)
        for one in choice.refused:
            print(f"passed over: {one}")
        asked = rollbacks.chosen(ledger, run_id, leaving.run_id, choice.to.run_id)
    else:
        _take(context, ledger, service, environment, run_id)
    left, release = ledger.record(str(asked.from_run_id)), ledger.record(str(asked.to_run_id))
    assert left is not None
    assert release is not None
    ledger.let_go(service.service, environment, release.commit)
    by = f" by {asked.asked_by}" if asked.asked_by else ""
    reason = f"rolled back by hand{by} ({run_id}): {asked.reason or 'no reason was given'}"
    restore(ledger, service, left, release, reason)
    # here, not by the report: who waits for this task sees the records as they are
    back = f"returned to {release.run_id}: commit {release.commit}, image {release.digest}"
    ledger.finish(left.run_id, Status.ROLLED_BACK, reason=f"{reason}\n  {back}")
    if release.status is Status.ROLLED_BACK:  # forward again
        ledger.finish(release.run_id, Status.PASSED)
    return given.Restored(
        left=left.run_id, to=release.run_id, commit=release.commit, digest=release.digest, reason=reason
    )


def _take(context: Any, ledger: Ledger, service: Service, environment: str, run_id: str) -> None:
    deadline, ttl_s = time.monotonic() + LANE_S, longest_s(service) + lanes.MARGIN_S
    while holder := ledger.lane_acquire(service.service, environment, run_id, ttl_s):
        if lane.is_run(ledger, holder.run_id) and not lane.runs(context, service, holder.run_id):
            ledger.lane_release(service.service, environment, holder.run_id)
            continue
        if time.monotonic() > deadline:
            raise Transient(
                f"{holder.run_id} has the lane of {service.service} in {environment} for more than {LANE_S} s",
                code="lane.held-too-long",
                remedy="wait for its end, or mark that run as failed in Airflow: a failed one leaves the lane",
            )
        print(f"{holder.run_id} has the lane: waiting")
        time.sleep(1)


def unlane() -> Any:
    """Give the teardown that leaves the lane of a rollback by hand."""

    @stage(
        task_id="unlane", task_display_name="Leave the lane", trigger_rule="all_done_setup_success", retries=6
    )
    def unlane() -> None:
        context = get_current_context()
        connections.ledger().lane_release(
            context["params"]["service"], connections.platform().environment, context["dag_run"].run_id
        )

    return unlane()


def tell(services: Sequence[Service], note: Any) -> Any:
    """Give the task that writes the notes on both commits anew, as their records have become."""
    known = {one.service: one for one in services}

    @stage(task_id="report", task_display_name="Report", retries=6)
    def report() -> None:
        context = get_current_context()
        done = xcom.take(context["ti"], given.Restored)
        if done.left == done.to:
            return
        ledger, service = connections.ledger(), known[context["params"]["service"]]
        for run_id in (done.left, done.to):
            one = ledger.record(run_id)
            assert one is not None
            connections.repository(service.source).write_note(one.commit, note(one))
            print(note(one))

    return report()
