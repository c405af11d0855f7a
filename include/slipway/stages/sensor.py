"""Waiting for the cluster: the provider's PythonSensor, recorded like every stage, a wait that ends without success a failure."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout

from slipway.errors import PolicyFailed, SlipwayError
from slipway.stages import lanes, links, xcom
from slipway.stages.outcome import recorded, seconds
from slipway.stages.waiting import AWAY_S, STAY_FOR_PODS_S

if TYPE_CHECKING:
    from datetime import datetime

    from airflow.sdk import Context

    from slipway.adapters.cluster import Rollout


@dataclass(frozen=True)
class Waits:
    """What a wait waits for: told when it changes, and an error if the time is over.

    :param late: the error that it is then; None is the sensor's own.
    :param code: which reason it is then.
    """

    text: str
    late: type[SlipwayError] | None = None
    code: str = field(kw_only=True)
    remedy: str = "see what it waited for at the end of its log, or raise timeout_s in the catalog"

    def over(self, what: str, seconds_: float) -> SlipwayError:
        """Give the error that it is when the time is over; the service's fault unless it is known to be another's."""
        kind = self.late or PolicyFailed
        return kind(f"{what}: not so after {seconds_:.0f} s: {self.text}", code=self.code, remedy=self.remedy)


@dataclass(frozen=True)
class Left:
    """What was waited for is of no interest any more: the task is skipped.

    :param why: in words.
    """

    why: str


def on_rollout(state: Rollout) -> Waits:
    """Give what a rollout that is not complete waits for: what keeps it decides whose fault it is if that stays."""
    if state.obstacle is None:
        return Waits(state.message, PolicyFailed, code="rollout.timed-out")
    cause = state.obstacle.cause
    return Waits(state.message, state.obstacle.verdict, cause.remedy, code=cause.code)


class Told:
    """Prints what is waited for, whenever that is something else than before."""

    def __init__(self) -> None:
        self._last = ""

    def __call__(self, text: str) -> None:
        """Print it, unless it was the last that was told."""
        if text != self._last:
            print(f"waiting: {text}")
        self._last = text


class Soak:
    """For how long something is well without a break, also over the times in which its task is not there.

    :param store: what Airflow keeps for a task. :param attempt: number of the try: another one begins anew.
    """

    KEY = "well"

    def __init__(self, store: Any, attempt: int) -> None:
        self._store, self._attempt = store, attempt
        kept = store.get(self.KEY) or {}
        self._since: float | None = kept.get("since") if kept.get("attempt") == attempt else None

    def well(self, now: datetime) -> float:
        """Note that it is well; give for how many seconds it has been."""
        if self._since is None:
            self._since = now.timestamp()
            self._store.set(self.KEY, {"attempt": self._attempt, "since": self._since})
        return now.timestamp() - self._since

    def broken(self) -> None:
        """Note that it is not well."""
        if self._since is not None:
            self._since = None
            self._store.delete(self.KEY)


class StageSensor(PythonSensor):
    """Asks ``python_callable`` every ``look_s`` seconds until it says done, ``timeout_s`` seconds at most.

    What the callable gives beside "not yet" is what it :class:`Waits` for.

    :param late: the error that it is if the time is over; by default the service's own fault.
    :param changes: whether it watches a change of the environment, and so holds the lane meanwhile.

    It stays in its process for some seconds, since most waits are not longer; then it lets go of worker and slot, and is started
    again every ten seconds (see docs/decisions.md).
    """

    operator_extra_links = (links.PodsLink(), links.ReleaseLink())

    def __init__(
        self,
        *,
        python_callable: Callable[[], PokeReturnValue],
        timeout_s: float,
        late: type[SlipwayError] = PolicyFailed,
        changes: bool = True,
        look_s: float = 0.5,
        **kwargs: Any,
    ) -> None:
        self.timeout_s, self.late, self.changes, self.look_s = timeout_s, late, changes, look_s
        self.stay_s = min(STAY_FOR_PODS_S, timeout_s)
        self.waits: Waits | None = None
        self.tell = Told()
        super().__init__(
            python_callable=python_callable,
            timeout=timeout_s,
            mode="reschedule",
            soft_fail=False,
            execution_timeout=seconds(timeout_s),
            poke_interval=AWAY_S,
            **{"pool": "slipway_cluster", **kwargs},
        )

    def execute(self, context: Context) -> Any:
        """Wait.

        :raises AirflowFailException: if the time is over, or the callable says that it never will be done.
        """
        with recorded(context):
            if self.changes:
                lanes.held(context)
            try:
                return xcom.returned(super().execute(context))
            except AirflowSensorTimeout as e:
                waits = self.waits or Waits("it waits", self.late, code="wait.timed-out")
                raise waits.over(self.task_id, self.timeout_s) from e

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Ask for some seconds, or once if it was away already, and remember what there is to wait for."""
        end = time.monotonic() + (0 if context.get("task_reschedule_count") else self.stay_s)
        while not (found := self._ask(context)) and time.monotonic() < end:
            time.sleep(self.look_s)
        return found

    def _ask(self, context: Context) -> PokeReturnValue | bool:
        found = super().poke(context)
        if isinstance(found, PokeReturnValue) and not found.is_done:
            self.waits = found.xcom_value
            if self.waits:
                self.tell(self.waits.text)
        return found
