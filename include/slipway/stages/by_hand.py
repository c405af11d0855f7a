"""Rollback by hand: a run of its own takes the lane, returns to what a person asked for, and says so on both commits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from slipway.errors import PolicyFailed, SlipwayError
from slipway.ledger import rollbacks
from slipway.release import Choice, Status, given
from slipway.release.where import Step, rollback_by_hand
from slipway.stages import connections, lane, lanes, position, restoring, xcom
from slipway.stages.outcome import recorded, seconds, stage
from slipway.stages.waiting import LaneFree, WaitingOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.ledger import Ledger, Release
    from slipway.stages.waiting import Wait

LANE_S = 600
"""Seconds that a rollback by hand waits for a release that changes the environment just now."""


class RestoreOperator(WaitingOperator):
    """Takes the lane, chooses, and restores, as a person asked for. Its waits hold neither worker nor slot."""

    def __init__(self, *, services: Sequence[Service], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.services = {one.service: one for one in services}

    def work(self, context: Context, wait: Wait) -> Any:
        """Go back, from wherever an earlier try has come to.

        :raises AirflowFailException: if nothing fits. :raises AirflowException: if another keeps the lane.
        """
        with recorded(context):
            return xcom.returned(restored(context, self.services[context["params"]["service"]], wait))


def by_hand(services: Sequence[Service]) -> RestoreOperator:
    """Give the task that takes the lane, chooses, and restores, as a person asked for."""
    return RestoreOperator(
        task_id=given.Restored.by,
        task_display_name="Restore",
        services=services,
        pool="slipway_cluster",
        execution_timeout=seconds(max(map(restoring.longest_s, services), default=0)),
    )


def restored(context: Any, service: Service, wait: Wait) -> given.Restored:
    """Do what a person asked for, on record from its first moment to how it ended."""
    params, run_id = context["params"], context["dag_run"].run_id
    ledger, name, environment = connections.ledger(), service.service, connections.platform().environment
    asked = rollbacks.begin(
        ledger,
        run_id,
        name,
        environment,
        context["dag_run"].triggering_user_name,
        params.get("reason") or None,
    )

    def goes_on(holder: str) -> bool | None:
        return lane.runs(context, service, holder) if lane.is_run(ledger, holder) else None

    def take() -> None:
        position.take_lane(
            ledger,
            run_id,
            name,
            environment,
            ttl_s=restoring.longest_s(service) + lanes.MARGIN_S,
            wait_s=LANE_S,
            goes_on=goes_on,
            waited=lambda: wait.seconds("lane"),
            wait=lambda what: wait.for_lane(LaneFree(name, environment), what),
        )

    def choose(leaving: Release, to: str | None) -> Choice:
        return restoring.chosen(ledger, service, environment, leaving, to)

    def apply(left: Release, to: Release, reason: str) -> None:
        restoring.restore(ledger, service, left, to, reason, wait)

    try:
        asked = decided(ledger, asked, params.get("to"), take=take, choose=choose)
        done = returned(ledger, asked, apply=apply)
    except SlipwayError as e:
        state = rollbacks.FAILED if isinstance(e, PolicyFailed) else rollbacks.ERRORED
        rollbacks.finish(ledger, run_id, state)
        raise
    rollbacks.finish(ledger, run_id, rollbacks.PASSED)
    return done


def decided(
    ledger: Ledger,
    asked: rollbacks.Rollback,
    to: str | None,
    *,
    take: Callable[[], None],
    choose: Callable[[Release, str | None], Choice],
) -> rollbacks.Rollback:
    """Take the lane, and give what is left and what for: as an earlier try of this run has chosen, or chosen now.

    :param to: a commit that a person asks for.
    :raises PolicyFailed: if nothing is deployed, or nothing fits.
    """
    if asked.from_run_id is not None:
        if asked.from_run_id != asked.to_run_id:
            take()
        return asked
    leaving = _deployed(ledger, asked)
    if to and leaving.commit == to:
        return rollbacks.chosen(ledger, asked.run_id, leaving.run_id, leaving.run_id)
    if (choice := choose(leaving, to)).to is None:
        raise restoring.nothing_fits(leaving, choice, to)
    take()
    # again, now that nobody else changes anything
    leaving = _deployed(ledger, asked)
    choice = choose(leaving, to)
    if choice.to is None:
        raise restoring.nothing_fits(leaving, choice, to)
    for one in choice.refused:
        print(f"passed over: {one}")
    return rollbacks.chosen(ledger, asked.run_id, leaving.run_id, choice.to.run_id)


def _deployed(ledger: Ledger, asked: rollbacks.Rollback) -> Release:
    if active := ledger.active(asked.service, asked.environment):
        return active
    raise PolicyFailed(
        f"nothing of {asked.service} is deployed in {asked.environment}",
        code="rollback.nothing-deployed",
        remedy="release it first",
    )


def returned(
    ledger: Ledger, asked: rollbacks.Rollback, *, apply: Callable[[Release, Release, str], None]
) -> given.Restored:
    """Return to what was chosen, unless another was deployed since; give what the command tells. Repeats are harmless.

    :param asked: with what is left and what for.
    :param apply: applies the second release in place of the first, for a reason, and waits until it serves.
    :raises PolicyFailed: if what was to be left is not what is deployed any more.
    """
    left, to = ledger.record(str(asked.from_run_id)), ledger.record(str(asked.to_run_id))
    assert left is not None
    assert to is not None
    done = given.Restored(left=left.run_id, to=to.run_id, commit=to.commit, digest=to.digest)
    if left.run_id == to.run_id:
        print(f"{left.run_id} is deployed already")
        return done
    found = position.of(ledger, left.run_id, asked.service, asked.environment)
    print(f"{left.run_id} is {found}")
    if rollback_by_hand(found, left.rolled_back_to, to=to.run_id) is Step.REFUSE:
        raise PolicyFailed(
            f"{left.run_id}, which was to be left for {to.run_id}, is not what is deployed any more: {found.why}",
            code="rollback.overtaken",
            remedy="see what is deployed now (`slipway releases list SERVICE`), and ask for another rollback if it is to be left",
        )
    ledger.let_go(asked.service, asked.environment, to.commit)
    by = f" by {asked.asked_by}" if asked.asked_by else ""
    reason = f"rolled back by hand{by} ({asked.run_id}): {asked.reason or 'no reason was given'}"
    apply(left, to, reason)
    # here, not by the report: who waits for this task sees the records as they are
    back = f"returned to {to.run_id}: commit {to.commit}, image {to.digest}"
    ledger.finish(left.run_id, Status.ROLLED_BACK, reason=f"{reason}\n  {back}")
    if to.status is Status.ROLLED_BACK:  # forward again
        ledger.finish(to.run_id, Status.PASSED)
    return done.model_copy(update={"reason": reason})


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
