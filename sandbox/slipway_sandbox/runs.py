"""Airflow's runs, over its REST API: tell each task's end as it comes, and how the run ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from slipway_sandbox.layout import SandboxError
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Sandbox

ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}


@dataclass
class Airflow:
    """Airflow's REST API, signed in as one of the sandbox's accounts."""

    sandbox: Sandbox
    account: str = "viewer"
    _http: Any = field(default=None, init=False)

    def call(self, method: str, path: str, **kwargs: Any) -> Any:
        """Give the response of a call below the API server's address.

        :raises SandboxError: when the account is refused.
        """
        if self._http is None:
            from requests.adapters import HTTPAdapter
            from urllib3 import Retry

            self._http = session()
            # the API server may be restarted meanwhile
            self._http.mount("http://", HTTPAdapter(max_retries=Retry(connect=8, backoff_factor=0.5)))
            password = (self.sandbox.layout.credentials / f"airflow-{self.account}").read_text().strip()
            answer = self._http.post(
                f"{self.sandbox.airflow_url}/auth/token",
                json={"username": self.account, "password": password},
                timeout=30,
            )
            if answer.status_code not in (200, 201):
                raise SandboxError(f"Airflow refuses {self.account} ({answer.status_code})")
            self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return self._http.request(method, f"{self.sandbox.airflow_url}{path}", timeout=30, **kwargs)

    def start(self, dag_id: str, run_id: str, **conf: Any) -> None:
        """Start a run; the account must be one that may.

        :raises SandboxError: if Airflow refuses.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        answer = self.call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        if answer.status_code != 200:
            raise SandboxError(f"Airflow does not start {run_id}: {answer.status_code} {answer.text[:300]}")

    def run(self, dag_id: str, run_id: str) -> dict[str, Any] | None:
        """Give a run, or None if there is none."""
        answer = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")
        return answer.json() if answer.status_code == 200 else None

    def tasks(self, dag_id: str, run_id: str) -> dict[str, dict[str, Any]]:
        """Give the run's tasks by id."""
        found = self.call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances?limit=100").json()
        return {one["task_id"]: one for one in found.get("task_instances", [])}

    def log(self, dag_id: str, run_id: str, task_id: str, attempt: int) -> list[str]:
        """Give the messages of a task's log."""
        path = (
            f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{attempt}?full_content=true"
        )
        answer = self.call("GET", path, headers={"Accept": "application/json"})
        content = answer.json().get("content", []) if answer.status_code == 200 else []
        return [str(entry["event"]) if isinstance(entry, dict) else str(entry) for entry in content]

    def clear(self, dag_id: str, run_id: str, tasks: Sequence[str], *, downstream: bool = False) -> None:
        """Clear tasks of a run, as the button in the UI does; the account must be one that may.

        :raises SandboxError: if Airflow refuses.
        """
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(tasks),
            "include_downstream": downstream,
            "only_failed": False,
            "reset_dag_runs": True,
        }
        answer = self.call("POST", f"/api/v2/dags/{dag_id}/clearTaskInstances", json=body)
        if answer.status_code != 200:
            raise SandboxError(f"Airflow does not clear {tasks} of {run_id}: {answer.text[:300]}")

    def follow(
        self,
        dag_id: str,
        run_id: str,
        timeout_s: float,
        tell: Callable[[str, str, float], None] | None = None,
    ) -> str:
        """Wait until a run ends, and give its state.

        :param tell: called with task, state and seconds as each task ends; without it Airflow is asked for the run alone,
            which costs its server a third.
        :raises SandboxError: no such run within 15 s, or no end within `timeout_s`.
        """
        start, told = time.monotonic(), set[tuple[str, str]]()
        while True:
            now = time.monotonic() - start
            seen = self.run(dag_id, run_id)
            if seen is None and now > 15:
                raise SandboxError(f"Airflow has no run {run_id} of {dag_id}: see what the push said")
            if seen is not None and tell is not None:
                tasks = self.tasks(dag_id, run_id)
                for name, task in sorted(tasks.items(), key=lambda item: item[1]["end_date"] or ""):
                    mark = (name, task["state"])
                    if task["state"] in {*ENDED, "up_for_retry"} and mark not in told:
                        told.add(mark)
                        tell(name, task["state"], task["duration"] or 0.0)
            if seen is not None and seen["state"] in ("success", "failed"):
                return str(seen["state"])
            if now > timeout_s:
                running = sorted(n for n, t in self.tasks(dag_id, run_id).items() if t["state"] not in ENDED)
                raise SandboxError(
                    f"{run_id} has not ended after {timeout_s:.0f} s; still to come: {', '.join(running)}"
                )
            time.sleep(0.3 if tell else 0.5)


def seconds_between(first: str, second: str) -> float:
    """Give the seconds between two of the API's time stamps."""
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()
