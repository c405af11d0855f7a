"""How a task ends: recorded in the ledger while the task still runs, and told to Airflow so that it retries what may help.

The record is written before Airflow hears of the end, so a task that follows finds it. A task that is killed leaves
no record: `report` sees its state in Airflow.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    AirflowTaskTimeout,
)

from slipway import version
from slipway.errors import PolicyFailed, SlipwayError, Superseded, Transient, Unchanged
from slipway.release import Outcome, given, upgrade
from slipway.stages import connections, queue, xcom
from slipway.stages.queue import is_release

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger(__name__)

DEFAULTS: dict[str, Any] = {
    "retries": 3,
    "retry_delay": timedelta(seconds=5),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=1),
    "execution_timeout": timedelta(minutes=5),
    "trigger_rule": "all_success",
    "pool": "default_pool",
}
"""What every task has unless it says otherwise: retries for the platform's faults, and an end to every wait."""


@dataclass
class Ending:
    """What is recorded of a stage that ends well: it may say otherwise than `passed`, and why."""

    outcome: Outcome = Outcome.PASSED
    reason: str | None = None


@contextmanager
def recorded(context: Any) -> Iterator[Ending]:
    """Record how the body ends as the outcome of the task's stage.

    A fault of the service fails the task for good; a transient one of the platform is left to Airflow's retries.
    """
    started = datetime.now(UTC)

    def record(outcome: Outcome, reason: str | None = None, *, code: str | None = None) -> None:
        ti = context["ti"]
        if not is_release(context):
            # for its DAG's own report
            xcom.give(ti, given.Ended(outcome=outcome.value, reason=reason, code=code))
            return
        seconds = (datetime.now(UTC) - started).total_seconds()
        connections.ledger().stage(
            ti.run_id, ti.task_id, outcome, seconds, reason, started_at=started, code=code
        )

    def record_safely(outcome: Outcome, reason: str, *, code: str) -> None:
        try:
            record(outcome, reason, code=code)
        except Exception:
            # the fault that is about to be raised matters more than that it could not be recorded
            log.exception("the ledger does not take the outcome of this stage")

    ending = Ending()
    try:
        queue.give_way(context)
        yield ending
    except AirflowSkipException as e:
        record(Outcome.SKIPPED, str(e))
        raise
    except AirflowRescheduleException:  # it has not ended: it looks again later
        raise
    except (Superseded, Unchanged) as e:
        record(_green(context, e), str(e), code=e.code)
        raise AirflowSkipException(e.message) from None
    except SlipwayError as e:
        _across_upgrade(context, e)
        outcome = Outcome.FAILED if isinstance(e, PolicyFailed) else Outcome.ERRORED
        record_safely(outcome, str(e), code=e.code)
        log.error("%s: %s", outcome.upper(), e)
        raise (AirflowException if isinstance(e, Transient) else AirflowFailException)(e.message) from None
    except AirflowTaskTimeout as e:
        record_safely(
            Outcome.ERRORED, f"the task took longer than its execution_timeout: {e}", code="stage.timed-out"
        )
        raise
    except Exception as e:
        if unreadable := _across_upgrade(context, e):
            record_safely(Outcome.ERRORED, str(unreadable), code=unreadable.code)
            raise AirflowFailException(unreadable.message) from e
        record_safely(Outcome.ERRORED, f"{type(e).__name__}: {e}", code="stage.broke")
        raise
    record(ending.outcome, ending.reason)


def _green(context: Any, end: Superseded | Unchanged) -> Outcome:
    """Give as what a release ends that goes no further, and keep for which other one."""
    if isinstance(end, Unchanged):
        return Outcome.UNCHANGED
    xcom.give(context["ti"], given.Yielded(to=end.by))
    return Outcome.SUPERSEDED


def _across_upgrade(context: Any, error: Exception) -> SlipwayError | None:
    """Give the error that says so if an upgrade in the middle of the release has to do with ``error``."""
    try:
        release = connections.ledger().record(context["ti"].run_id) if is_release(context) else None
    except SlipwayError:
        return None  # what has gone wrong already matters more
    return upgrade.explained(error, release.slipway, version.this()) if release else None


def stage(**options: Any) -> Callable[[Callable[P, R]], Callable[..., Any]]:
    """Make a task of a function: recorded, errors translated. Options are those of Airflow's ``@task``."""
    # here, as it imports Airflow's operators of Python, which a release has none of
    from airflow.sdk import task

    kind = options.pop("kind", None)

    def decorate(function: Callable[P, R]) -> Callable[..., Any]:
        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> Any:
            with recorded(get_current_context()):
                return xcom.returned(function(*args, **kwargs))

        make = getattr(task, kind) if kind else task
        made: Callable[..., Any] = make(**options)(run)
        return made

    return decorate


def seconds(amount: float) -> timedelta:
    """Give an execution timeout that leaves the stage's own bound (``amount`` seconds) time to speak first."""
    return timedelta(seconds=amount + 60)
