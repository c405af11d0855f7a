"""Parses DAG files as Airflow does, once per catalog, without network, and prints what came of it as JSON.

parse.py DAGS CATALOG...
"""

import json
import os
import socket
import sys
import time
from typing import Any

DAGS, CATALOGS = sys.argv[1], sys.argv[2:]


def refuse(*_arguments: object) -> None:
    raise AssertionError("a DAG file reached for the network while it was parsed")


socket.socket.connect = socket.socket.connect_ex = refuse  # type: ignore[assignment]
socket.getaddrinfo = refuse  # type: ignore[assignment]

from airflow.dag_processing.dagbag import DagBag  # noqa: E402
from airflow.serialization.serialized_objects import DagSerialization  # noqa: E402

import slipway.dag  # noqa: E402, F401  # what the dag-processor has imported before: the file alone is timed


def parsed() -> dict[str, Any]:
    began = time.process_time()  # whatever else the machine does
    bag = DagBag(dag_folder=DAGS, safe_mode=False)
    seconds, dags = time.process_time() - began, {}
    for name, dag in bag.dags.items():
        tasks = {
            task.task_id: {
                "kind": type(task).__name__,
                "retries": task.retries,
                "retry_delay_s": task.retry_delay.total_seconds(),
                "execution_timeout_s": task.execution_timeout and task.execution_timeout.total_seconds(),
                "pool": task.pool,
                "weight": task.priority_weight,
                "weight_rule": task.weight_rule.__class__.__name__,
                "trigger_rule": str(task.trigger_rule.value),
                "setup": task.is_setup,
                "teardown": task.is_teardown,
                "decides": task.on_failure_fail_dagrun,
                "title": task.task_display_name,
                "links": sorted(type(link).__name__ for link in task.operator_extra_links),
                "upstream": sorted(task.get_flat_relative_ids(upstream=True)),
                "downstream": sorted(task.get_flat_relative_ids(upstream=False)),
            }
            for task in dag.tasks
        }
        dags[name] = {
            "tasks": tasks,
            "default_args": sorted(dag.default_args),
            "required": dag.get_task("gate").flow.gating if dag.has_task("gate") else None,
            "timetable": repr(dag.timetable),
            "catchup": dag.catchup,
            "max_active_runs": dag.max_active_runs,
            "timeout_s": dag.dagrun_timeout and dag.dagrun_timeout.total_seconds(),
            "starts_paused": dag.is_paused_upon_creation,
            "serialized": DagSerialization.to_dict(dag),
            "doc_md": dag.doc_md,
            "tags": sorted(dag.tags),
            "params": sorted(dag.params),
        }
    return {"dags": dags, "import_errors": bag.import_errors, "seconds": seconds}


results = []
for catalog in CATALOGS:
    os.environ["SLIPWAY_CATALOG"] = catalog
    results.append(parsed())
json.dump(results, sys.__stdout__, default=str)
