"""Waits that hold neither a worker nor a slot of a pool: Airflow's triggerer looks, and starts the task again."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent

from slipway.errors import SlipwayError
from slipway.release import Mode, superseded_by, waits_for
from slipway.stages import connections

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.ledger import Ledger

STAY_S = 3.0
"""Seconds that a task stays and looks every second, before it waits without a worker: most lanes are free at once."""

STAY_FOR_PODS_S = 15.0
"""Seconds that a task or a sensor stays for pods to come to serve: longer than the rollout of an image that the node has."""

AWAY_S = 10.0
"""Seconds after which it looks again. Each start of a task costs about a quarter of a second of a core."""

LOOK_S = 2.0
"""Seconds between two looks at the ledger."""

ANYWAY_S = 60.0
"""Seconds after which the task is started in any case: it alone can ask Airflow whether who has the lane is still alive."""


class LaneFree(BaseTrigger):
    """Waits until nobody has the lane of a service."""

    bound = timedelta(seconds=2 * ANYWAY_S)
    """How long a task waits for it: longer only if no triggerer runs."""

    of: ClassVar[tuple[str, ...]] = ("service", "environment")

    def __init__(self, service: str, environment: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.service, self.environment = service, environment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Give what it is made of."""
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in self.of}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Ask the ledger every two seconds; whatever is unclear is for the task to say."""
        end = time.monotonic() + ANYWAY_S
        while time.monotonic() < end:
            try:
                if await asyncio.to_thread(self.changed):
                    break
            except SlipwayError as e:
                self.log.warning("%s", e.message)
            await asyncio.sleep(LOOK_S)
        yield TriggerEvent(True)  # type: ignore[no-untyped-call]

    def changed(self, ledger: Ledger | None = None) -> bool:
        """Tell whether there is something to do for the task."""
        return (ledger or connections.ledger()).lane_holder(self.service, self.environment) is None


class LaneWait(LaneFree):
    """Waits until a release may have the lane, or is superseded.

    :param run_id: of the release. :param mode: of its service's queue.
    """

    of = ("service", "environment", "run_id", "mode")

    def __init__(self, service: str, environment: str, run_id: str, mode: str) -> None:
        super().__init__(service, environment)
        self.run_id, self.mode = run_id, mode

    def changed(self, ledger: Ledger | None = None) -> bool:
        """Tell whether there is something to do for the task."""
        ledger = ledger or connections.ledger()
        own, others = ledger.queued(self.run_id)
        if superseded_by((one for one in others if one.order > own.order), Mode(self.mode)):
            return True
        if waits_for(own, others, Mode(self.mode)):
            return False
        return super().changed(ledger)


class Wait:
    """The waits of a task: how long each takes already, whatever it went on after.

    When they began is kept by Airflow for the task: what is given to a trigger is lost when the triggerer ends it.

    :param context: of the task that waits. :param was_away: whether it was started again for that.
    """

    KEY = "waits"

    def __init__(self, task: WaitingOperator, context: Any, *, was_away: bool = False) -> None:
        self._task, self._context, self._was_away = task, context, was_away
        self._began = time.monotonic()
        self._since: dict[str, float] | None = None

    def seconds(self, what: str) -> float:
        """Give for how many seconds it is waited for something, from the first time on that this is asked in this try."""
        store, attempt = self._context["task_state_store"], self._context["ti"].try_number
        if self._since is None:
            kept = store.get(self.KEY) or {}
            self._since = kept["since"] if kept.get("attempt") == attempt else {}
        if what not in self._since:
            self._since[what] = time.time()
            store.set(self.KEY, {"attempt": attempt, "since": self._since})
        return time.time() - self._since[what]

    def for_lane(self, trigger: LaneFree, what: str) -> None:
        """Wait a second longer, or leave the worker until the trigger has something to look at: then all begins anew.

        :param what: is waited for, in words.
        """
        self._longer(1, STAY_S, trigger, trigger.bound, what)

    def for_pods(self, what: str) -> None:
        """Wait a moment longer, or leave the worker for ten seconds: then all begins anew.

        :param what: is waited for, in words.
        """
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        away = timedelta(seconds=AWAY_S)
        self._longer(0.2, STAY_FOR_PODS_S, TimeDeltaTrigger(away), away + LaneFree.bound, what)

    def _longer(
        self, pause_s: float, stay_s: float, trigger: BaseTrigger, bound: timedelta, what: str
    ) -> None:
        if time.monotonic() - self._began >= (0 if self._was_away else stay_s):
            print(f"waiting, without a worker: {what}")
            self._task.defer(trigger=trigger, method_name="look_again", timeout=bound)
        time.sleep(pause_s)


class WaitingOperator(BaseOperator):
    """Does what it has to as often as it is started, and is told nothing in between but that there may be something to do."""

    @abstractmethod
    def work(self, context: Context, wait: Wait) -> Any:
        """Do it, as far as it goes without a wait."""

    def execute(self, context: Context) -> Any:
        """Begin; while it waits, stay for some seconds."""
        return self.work(context, Wait(self, context))

    def look_again(self, context: Context, event: Any = None) -> Any:
        """Go on with what it waits for."""
        return self.work(context, Wait(self, context, was_away=True))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on, too, when the wait itself failed: a triggerer that was killed is no reason to end a task."""
        return self.look_again(context)
