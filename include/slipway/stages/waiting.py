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
    """The wait of a task: how long it takes already, wherever it went on.

    :param since: when it began, in seconds since 1970. :param stay_s: seconds that the task stays from now on.
    """

    def __init__(self, task: WaitingOperator, since: float, stay_s: float) -> None:
        self._task, self._since, self._until = task, since, time.monotonic() + stay_s

    def seconds(self) -> float:
        """Give for how many seconds the task waits."""
        return time.time() - self._since

    def go_on(self, trigger: LaneFree, what: str) -> None:
        """Wait a second longer, or leave the worker until the trigger has something to look at: then all begins anew.

        :param what: is waited for, in words.
        """
        if time.monotonic() >= self._until:
            print(f"waiting, without a worker: {what}")
            kwargs = {"since": self._since}
            self._task.defer(trigger=trigger, method_name="look_again", kwargs=kwargs, timeout=trigger.bound)
        time.sleep(1)


class WaitingOperator(BaseOperator):
    """Does what it has to as often as it is started, and keeps nothing in between but since when it waits."""

    @abstractmethod
    def work(self, context: Context, wait: Wait) -> Any:
        """Do it, as far as it goes without a wait."""

    def execute(self, context: Context) -> Any:
        """Begin; while it waits, stay for some seconds."""
        return self.work(context, Wait(self, time.time(), STAY_S))

    def look_again(self, context: Context, event: Any = None, since: float | None = None) -> Any:
        """Go on with a wait that began at ``since``."""
        return self.work(context, Wait(self, since or time.time(), 0))

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on, too, when the wait itself failed: a triggerer that was killed is no reason to end a task."""
        return self.look_again(context, since=(next_kwargs or {}).get("since"))
