"""A provider's operator at work: made when a task of ours runs, since to import it takes longer than to parse a whole DAG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.operator import ExecutorSafeguard

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator, Context


def run(operator: BaseOperator, context: Context) -> Any:
    """Run an operator as the work of the task that runs, and give what it gives."""
    # Airflow's guard against operators that are called by mistake would warn in each task's log
    token = ExecutorSafeguard.tracker.set(operator)
    try:
        return operator.execute(context)
    finally:
        ExecutorSafeguard.tracker.reset(token)
