"""LocalExecutor for a scheduler that costs little while nothing is to do, and starts at once what there is.

Airflow's scheduler asks some twenty queries at each look, and sleeps `scheduler_idle_sleep_time` between two. If that is short,
it takes a fifth of a core for nothing; if it is long, a push waits for it, and each task for the end of the one before. With
this executor, and no sleep of the scheduler's own, it waits until a task has ended, a run is to do, or a second is over.
Whether a run is to do is one query.
"""

from __future__ import annotations

import time

from airflow import settings
from airflow.executors.local_executor import LocalExecutor
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.utils.state import DagRunState
from sqlalchemy import Engine, exists, or_, select
from sqlalchemy.exc import SQLAlchemyError

QUIET_S = 1.0
"""Seconds after which the scheduler looks in any case: for runs of a schedule, for instance."""

LOOK_S = 0.1
"""Seconds after which it looks while a run is going on, and between two looks for a run to do."""


class WakingExecutor(LocalExecutor):
    """Waits at the end of its heartbeat, which the scheduler calls once in each loop."""

    def heartbeat(self) -> None:
        """Do what LocalExecutor does; then wait until there is something to do."""
        super().heartbeat()
        deadline = time.monotonic() + QUIET_S
        while not self._ended(LOOK_S) and time.monotonic() < deadline and not runs_to_do():
            pass

    def _ended(self, wait_s: float) -> bool:
        """Tell whether tasks have ended that the scheduler does not know of, after waiting so long for one."""
        if not self.event_buffer and self.result_queue._reader.poll(wait_s):  # type: ignore[attr-defined]
            self.sync()
        return bool(self.event_buffer)


def runs_to_do() -> bool:
    """Tell whether a run waits or goes on, but for those of paused DAGs; so, too, if the database does not say."""
    unpaused = [
        exists().where(DagRun.state == state, DagRun.dag_id == DagModel.dag_id, ~DagModel.is_paused)
        for state in (DagRunState.QUEUED, DagRunState.RUNNING)  # Airflow has an index for each
    ]
    engine: Engine = settings.get_engine()  # type: ignore[no-untyped-call]
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            return bool(connection.scalar(select(or_(*unpaused))))
    except SQLAlchemyError:
        return True
