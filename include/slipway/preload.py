"""What is heavy in the stages, imported once in the process that forks the tasks.

Airflow's LocalExecutor forks each task from the scheduler, a Celery worker from its parent: what those have imported is
free for the task. Measured: KubernetesPodOperator alone costs 2.9 s of a task that imports it itself.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)
_FORKING = ("scheduler", "celery")


def preload(argv: list[str] | None = None) -> bool:
    """Import the stages if this process forks tasks; give whether it did."""
    arguments = sys.argv if argv is None else argv
    if not any(word in arguments[1:2] for word in _FORKING):
        return False
    import docker  # noqa: F401
    import hvac  # noqa: F401
    import kubernetes.client
    import kubernetes.dynamic  # noqa: F401
    import psycopg2  # noqa: F401

    import slipway.dag
    import slipway.ledger.reports
    import slipway.ledger.transactions
    import slipway.reconcile
    import slipway.refresh  # noqa: F401

    # what is there now stays: the children's garbage collector need not copy its pages by looking at them
    gc.freeze()
    end_with_parent()
    return True


def end_with_parent() -> None:
    """Let all processes that are forked from here on end when the one that forked them does.

    Otherwise a killed scheduler leaves its workers: idle ones for ever, the others with tasks that its successor starts again.
    A worker that is killed leaves its task, which nobody hears of and nobody can end.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        os.register_at_fork(after_in_child=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
