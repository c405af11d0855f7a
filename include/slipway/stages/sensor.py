"""Waiting for the cluster: the provider's PythonSensor, recorded like every stage, a wait that ends without success a failure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.sensors.python import PythonSensor
from airflow.sdk import PokeReturnValue
from airflow.sdk.exceptions import AirflowSensorTimeout

from slipway.errors import PolicyFailed, SlipwayError
from slipway.stages import lanes, links
from slipway.stages.outcome import recorded, seconds

if TYPE_CHECKING:
    from airflow.sdk import Context


class StageSensor(PythonSensor):
    """Asks ``python_callable`` twice a second until it says done, ``timeout_s`` seconds at most.

    What the callable gives beside "not yet" is what it waits for: told if the time is over.

    :param late: the error that it is if the time is over; by default the service's own fault.
    :param changes: whether it watches a change of the environment, and so holds the lane meanwhile.

    It pokes in its own process: the waits are of seconds, and a deferral costs two (see docs/decisions.md).
    """

    operator_extra_links = (links.PodsLink(), links.ReleaseLink())

    def __init__(
        self,
        *,
        python_callable: Callable[[], PokeReturnValue],
        timeout_s: float,
        late: type[SlipwayError] = PolicyFailed,
        changes: bool = True,
        **kwargs: Any,
    ) -> None:
        self.timeout_s, self.late, self.changes = timeout_s, late, changes
        self.waits_for: str | None = None
        super().__init__(
            python_callable=python_callable,
            timeout=timeout_s,
            mode="poke",
            soft_fail=False,
            execution_timeout=seconds(timeout_s),
            **{"poke_interval": 0.5, "pool": "slipway_cluster", **kwargs},
        )

    def execute(self, context: Context) -> Any:
        """Wait.

        :raises AirflowFailException: if the time is over, or the callable says that it never will be done.
        """
        with recorded(context):
            if self.changes:
                lanes.held(context)
            try:
                return super().execute(context)
            except AirflowSensorTimeout as e:
                raise self.late(
                    f"{self.task_id}: not so after {self.timeout_s:.0f} s: {self.waits_for or 'it waits'}",
                    remedy="see what it waited for at the end of its log, or raise timeout_s in the catalog",
                ) from e

    def poke(self, context: Context) -> PokeReturnValue | bool:
        """Ask once, and remember what there is to wait for."""
        found = super().poke(context)
        if isinstance(found, PokeReturnValue) and not found.is_done:
            self.waits_for = found.xcom_value
        return found
