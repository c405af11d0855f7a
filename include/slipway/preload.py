"""What is heavy in the stages, imported once in the process that forks the tasks.

Airflow's LocalExecutor forks each task from the scheduler, a Celery worker from its parent: what those have imported is free for
the child. Measured: KubernetesPodOperator alone costs 2.9 s of a task that imports it itself. The dag-processor needs none of it:
a DAG file imports nothing that only its tasks need.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2)
_TASKS = ("scheduler", "celery")
_LIBRARIES = (
    "airflow.providers.cncf.kubernetes.operators.pod",
    "airflow.providers.docker.operators.docker",
    "airflow.providers.hashicorp.hooks.vault",
    "airflow.providers.standard.operators.empty",
    "airflow.providers.standard.operators.trigger_dagrun",
    "airflow.providers.standard.sensors.python",
    *(
        "alembic",
        "docker",
        "hvac",
        "kubernetes.client",
        "kubernetes.dynamic",
        "psycopg2",
        "pydantic",
        "requests",
    ),
    *("sqlalchemy.orm", "yaml"),
)
_OURS = (
    *("slipway.dag", "slipway.reconcile", "slipway.refresh", "slipway.rollback"),
    *("slipway.stages.container_run", "slipway.stages.engine_hook", "slipway.stages.pod_run"),
    *("slipway.ledger.reports", "slipway.ledger.whole"),
)


def preload(argv: list[str] | None = None) -> bool:
    """Import what is heavy if this process forks tasks; give whether it did."""
    arguments = (sys.argv if argv is None else argv)[1:2]
    if not any(word in arguments for word in _TASKS):
        return False
    for name in (*_LIBRARIES, *_OURS):
        importlib.import_module(name)
    # not above: a dag-processor, which imports this module, too, is to see it change
    from slipway import version

    end_with_parent()
    version.this()  # of the code that was imported, not of what lies there when a task asks
    # what is there now stays: the children's garbage collector need not copy its pages by looking at them
    gc.freeze()
    return True


def end_with_parent() -> None:
    """Let all processes that are forked from here on end when the one that forked them does.

    Otherwise a killed scheduler leaves its workers: idle ones for ever, the others with tasks that its successor starts again.
    A worker that is killed leaves its task, which nobody hears of and nobody can end.
    """
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        os.register_at_fork(after_in_child=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
