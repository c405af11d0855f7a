"""A release that was deployed and fails is left for the last good one that fits, by itself, and its commit is held."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk.exceptions import AirflowSkipException

from slipway.adapters import cluster
from slipway.release import Choice, Outcome, decisive
from slipway.release.where import Position, Step, Where, own_rollback
from slipway.stages import connections, lane, lanes, position, restoring
from slipway.stages.outcome import recorded, seconds
from slipway.stages.stage import CLUSTER, Made, Stage
from slipway.stages.waiting import WaitingOperator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.ledger import Release
    from slipway.ledger.records import Hold
    from slipway.stages.waiting import Wait


GOING = ("scheduled", "queued", "running", "restarting", "deferred", "up_for_retry", "up_for_reschedule")
"""States in which Airflow has a task that has begun to be run, and not ended."""


class Records(position.Records, Protocol):
    """What is asked of the ledger, and told to it if nothing fits."""

    def held(
        self, service: str, environment: str, commit: str, config_revision: str | None, digest: str | None
    ) -> Hold | None:
        """Give why a commit is held, if it is, with this configuration and this image."""

    def hold(self, service: str, environment: str, commit: str, reason: str, run_id: str | None) -> None:
        """Hold a commit."""


@dataclass(frozen=True)
class Seen:
    """What the rollback of a release finds.

    :param worst: the stage that decides among those whose failure rolls back, and ``has_failed`` whether that was a verdict on
        the commit.
    """

    release: Release
    position: Position
    worst: str | None
    has_failed: bool

    @property
    def step(self) -> Step:
        """What is to be done about it."""
        return own_rollback(self.position, self.release.rolled_back_to, has_failed=self.has_failed)

    @property
    def is_undecided(self) -> bool:
        """Whether it is deployed, and nothing says yet that it must not be."""
        return self.position.where is Where.DEPLOYED and not self.has_failed

    @property
    def reason(self) -> str:
        """Why the release is left: the first line of what its worst stage says."""
        why = next((one.reason for one in self.release.stages if one.name == self.worst), None)
        first = next(iter((why or "").splitlines()), "it does not say why")
        return (
            first
            if first.startswith((f"{self.worst} ", f"{self.worst}:"))
            else f"{self.worst} failed: {first}"
        )

    @property
    def nothing(self) -> str:
        """Why nothing is done."""
        if self.position.where is Where.DEPLOYED:
            return f"{self.worst or 'a stage'} says nothing of the commit: what is deployed stays, and Clear goes on"
        return f"nothing of this release is deployed ({self.position})"


def look(
    ledger: position.Records,
    run_id: str,
    service: str,
    environment: str,
    watched: Sequence[str],
    serves: Callable[[Release], bool] | None = None,
) -> Seen:
    """Read where the release of a run is, and how those of its stages ended whose failure rolls back."""
    found = position.of(ledger, run_id, service, environment, serves=serves)
    release = ledger.record(run_id)
    assert release is not None
    outcomes = {one.name: one.outcome for one in release.stages if one.name in watched}
    worst = decisive(outcomes)
    return Seen(release, found, worst, worst is not None and outcomes[worst] is Outcome.FAILED)


def go_back(
    ledger: Records,
    seen: Seen,
    *,
    choose: Callable[[Release], Choice],
    apply: Callable[[Release, Release, str], None],
) -> Release:
    """Do what is to be done, and give the release that serves in place of this one. Repeats are harmless.

    :param choose: gives what fits in place of a release.
    :param apply: applies the second release in place of the first, for a reason, and waits until it serves.
    :raises PolicyFailed: if nothing fits: then the commit is held, and what is deployed stays.
    """
    release, step = seen.release, seen.step
    service, environment = release.service, release.environment
    if step is Step.CHOOSE:
        reason, choice = seen.reason, choose(release)
        if choice.to is None:
            ledger.hold(service, environment, release.commit, reason, release.run_id)
            raise restoring.nothing_fits(release, choice)
        for one in choice.refused:
            print(f"passed over: {one}")
        to = choice.to.run_id
    else:  # an earlier try was killed, or the task was cleared
        hold = ledger.held(service, environment, release.commit, release.config_revision, release.digest)
        reason, to = hold.reason if hold else "it was rolled back", str(release.rolled_back_to)
    target = ledger.record(to)
    assert target is not None
    if step is not Step.TELL:
        apply(release, target, reason)
    return target


class RollbackOperator(WaitingOperator):
    """Rolls back a release that was deployed, and failed one of the ``watched`` stages. Its waits hold neither worker nor slot.

    A stage that only errored is no verdict on the commit: then all stays as it is, and "Clear" goes on.
    """

    def __init__(self, *, service: Service, watched: Sequence[str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.service, self.watched = service, watched

    def work(self, context: Context, wait: Wait) -> None:
        """Go back, from wherever an earlier try has come to.

        :raises AirflowSkipException: if there is nothing to be rolled back. :raises AirflowFailException: if nothing fits.
        """
        with recorded(context) as ending:
            target = self._go_back(context, wait)
            ending.outcome = Outcome.ROLLED_BACK
            ending.reason = f"rolled back to {target.run_id}: commit {target.commit}, image {target.digest}"
            print(ending.reason)

    def _go_back(self, context: Context, wait: Wait) -> Release:
        service, ledger, run_id = self.service, connections.ledger(), context["dag_run"].run_id
        environment = connections.platform().environment

        def choose(leaving: Release) -> Choice:
            return restoring.chosen(ledger, service, environment, leaving)

        def apply(left: Release, to: Release, reason: str) -> None:
            restoring.restore(ledger, service, left, to, reason, wait)

        seen = look(ledger, run_id, service.service, environment, self.watched)
        while seen.is_undecided and (going := self._at_work(context)):
            if wait.seconds("the other stages") > restoring.longest_s(service):
                break
            wait.for_pods(f"{', '.join(going)}, which may say more of the commit than {seen.worst}")
            seen = look(ledger, run_id, service.service, environment, self.watched)
        if seen.step is not Step.NOTHING:  # else the lane may be another's
            lanes.held(context, going_back=True)
            # again, now that nobody else changes anything
            seen = look(ledger, run_id, service.service, environment, self.watched, self._serves)
        print(f"{run_id} is {seen.position}")
        if seen.step is Step.NOTHING:
            raise AirflowSkipException(seen.nothing)
        return go_back(ledger, seen, choose=choose, apply=apply)

    def _at_work(self, context: Context) -> list[str]:
        """Give which of the watched stages have not ended: it is begun when the first of them has gone wrong."""
        run = context["dag_run"]
        states = connections.AirflowRuns(context["ti"]).task_states(run.dag_id, run.run_id)
        return [one for one in self.watched if states.get(one) in GOING]

    def _serves(self, release: Release) -> bool:
        plan, timeout_s = self.service.deploy, self.service.deploy.rollout.timeout_s
        api, digest = connections.cluster(), str(release.digest)
        return cluster.rollout(api, plan.namespace, plan.deployment, digest, timeout_s=timeout_s).complete


def rollback(service: Service, watched: Sequence[str]) -> RollbackOperator:
    """Give the task that rolls back a release that was deployed, and failed one of the ``watched`` stages."""
    return RollbackOperator(
        task_id="rollback",
        task_display_name="Roll back",
        service=service,
        watched=watched,
        pool="slipway_cluster",
        trigger_rule="one_failed",
        execution_timeout=seconds(restoring.longest_s(service)),
    )


ROLLBACK = Made(
    id="rollback",
    title="Roll back",
    follows=lambda one, service: isinstance(one, Stage) and one.rolls_back(service),
    before=(lane.UNLANE,),
    pool=CLUSTER,
    holds_lane=True,
    make=lambda service, flow, **_task: rollback(service, flow.rolling_back),
)
