"""When the running Airflow parses DAG files: after a change, and only then."""

from __future__ import annotations

import os
import time

from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.airflow import Airflow
from slipway_sandbox.run import wait_until


def _parsed(sandbox: Sandbox) -> dict[str, str]:
    dags = Airflow(sandbox).call("GET", "dags?limit=100").json()["dags"]
    return {dag["dag_id"]: dag["last_parsed_time"] for dag in dags}


def test_a_change_of_the_catalog_has_every_dag_parsed_in_seconds(sandbox: Sandbox) -> None:
    before = _parsed(sandbox)
    assert len(before) >= 5
    os.utime(sandbox.layout.checkout / "include/services/ai-generation.yaml")

    def waits() -> str | None:
        now = _parsed(sandbox)
        # one of a service that another test has added may be gone by now
        return ", ".join(name for name in before if now.get(name) == before[name]) or None

    began = time.monotonic()
    wait_until(waits, 40, "the DAGs to be parsed again", 0.5)
    print(f"every DAG was parsed again {time.monotonic() - began:.1f} s after the change")
