"""What is heavy in the stages, imported once in the process that forks the tasks or the parsing of DAG files.

Airflow's LocalExecutor forks each task from the scheduler, a Celery worker from its parent, the dag-processor each parsing of a
file: what those have imported is free for the child. Measured: KubernetesPodOperator alone costs 2.9 s of a task that imports
it itself; a DAG file of five lines 1.1 s of CPU without, and 0.3 s with the providers imported before, at each interval.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys

from slipway import version

_PR_SET_PDEATHSIG = 1  # prctl(2)
_TASKS, _FILES = ("scheduler", "celery"), ("dag-processor",)
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
    *("slipway.ledger.reports", "slipway.ledger.whole"),
)


def preload(argv: list[str] | None = None) -> bool:
    """Import what is heavy if this process forks tasks or the parsing of files; give whether it did.

    The dag-processor gets other people's packages only: what is ours may change while it runs, and it is to see that.
    """
    arguments = (sys.argv if argv is None else argv)[1:2]
    if not any(word in arguments for word in (*_TASKS, *_FILES)):
        return False
    forks_tasks = any(word in arguments for word in _TASKS)
    for name in (*_LIBRARIES, *(_OURS if forks_tasks else ())):
        importlib.import_module(name)
    if forks_tasks:
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
