"""The part of Airflow's REST API that starts a release and follows it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlsplit

import requests

from slipway.cli.settings import credential, credential_path
from slipway.errors import CatalogError, Permanent, Transient
from slipway.release.obstacles import Dag, Effect, Obstacle, of_dag

if TYPE_CHECKING:
    from slipway.release.given import Given

G = TypeVar("G", bound="Given")

TIMEOUT_S = 20


def _said(answer: dict[str, Any]) -> str:
    """Gives the first line of what Airflow said: after it, it shows its schema."""
    return next(iter(str(answer.get("detail", answer)).splitlines()), "")[:500]


def _kind(status: int) -> type[Permanent | Transient]:
    return Transient if status >= 500 else Permanent


def refuse(obstacles: Iterable[Obstacle]) -> None:
    """Refuses to go on where nothing can be started.

    :raises CatalogError: naming what is in the way.
    """
    for one in obstacles:
        if one.effect is Effect.NOT_STARTED:
            raise CatalogError(f"Nothing is started: {one.what}.", code=one.code, remedy=one.remedy)


class Airflow:
    """Airflow as one of its accounts.

    :param url: of the API server.
    :param username: its password is the file airflow-<username> of the credentials, and is exchanged for a token at once.
    """

    def __init__(self, url: str, username: str) -> None:
        self.url, self.username = url.rstrip("/"), username
        password, file = credential(f"airflow-{username}"), credential_path(f"airflow-{username}")
        self.session = requests.Session()
        # A proxy of the machine cannot know this machine's loopback.
        self.session.trust_env = urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1")
        status, answer = self._call("POST", "/auth/token", {"username": username, "password": password})
        if status in (401, 403):
            raise CatalogError(
                f"Airflow at {self.url} refused the account `{username}` ({status}): no such account, or another password.",
                code="airflow.account-refused",
                remedy=f"The password is read from {file}, the account's name from SLIPWAY_AIRFLOW_USER.",
            )
        if status not in (200, 201) or "access_token" not in answer:
            raise Permanent(
                f"Airflow at {self.url} gave the account `{username}` no token ({status}).",
                code="airflow.no-token",
                remedy="Check AIRFLOW_URL, and the log of Airflow's API server.",
                lines=[_said(answer)],
            )
        self.session.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def _call(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        try:
            answer = self.session.request(method, self.url + path, json=body, timeout=TIMEOUT_S)
            found = answer.json() if answer.content else {}
        except requests.JSONDecodeError as error:
            what = f"with something that is not JSON ({answer.status_code})"
            raise Permanent(
                f"{self.url} answered {what}: is it Airflow?",
                code="airflow.answer-malformed",
                remedy="Check AIRFLOW_URL.",
            ) from error
        except requests.RequestException as error:
            raise Transient(
                f"Airflow at {self.url} cannot be reached ({type(error).__name__}).",
                code="airflow.unreachable",
                remedy="Check AIRFLOW_URL and that its API server runs (`slipway sandbox status`).",
            ) from error
        return answer.status_code, found if isinstance(found, dict) else {"detail": found}

    def trigger(self, dag_id: str, run_id: str, conf: Mapping[str, object]) -> bool:
        """Starts a run. Gives False if there is one of this id already: nothing is started twice.

        :raises CatalogError: when Airflow has no such DAG.
        """
        body = {"dag_run_id": run_id, "logical_date": None, "conf": dict(conf)}
        status, answer = self._call("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", body)
        if status in (200, 201, 409):
            return status != 409
        if status == 404:
            raise CatalogError(
                f"Airflow at {self.url} has no DAG `{dag_id}`.",
                code="airflow.dag-missing",
                remedy="Look for its import errors in the UI; a new file is seen within some seconds.",
            )
        if status == 403:
            raise CatalogError(
                f"Airflow at {self.url} does not let the account `{self.username}` start {run_id} (403).",
                code="airflow.start-not-allowed",
                remedy="Let SLIPWAY_AIRFLOW_USER name an account that may trigger this DAG.",
            )
        if status in (400, 422):
            raise CatalogError(
                f"Airflow at {self.url} refused what {run_id} was asked for with: {_said(answer)}",
                code="airflow.parameters-refused",
                remedy="Its DAG is made of another catalog than the one here: compare SLIPWAY_CATALOG with the DAG's parameters.",
            )
        raise _kind(status)(
            f"Airflow at {self.url} would not start {run_id} ({status}).",
            code="airflow.start-failed",
            remedy="See the log of Airflow's API server; nothing is started twice if you try again.",
            lines=[_said(answer)],
        )

    def ask(self, service: str, commit: str, ref: str, *, is_head: bool, again: bool) -> dict[str, Any]:
        """Asks Slipway's plugin which run is meant, and what is in its way; the wish is on record from then on.

        :raises CatalogError: when the account may not release the service.
        """
        body = {"commit": commit, "ref": ref, "is_head": is_head, "again": again, "asked_by": "command"}
        status, answer = self._call("POST", f"/slipway/releases/{quote(service)}", body)
        if status == 200:
            return answer
        if status in (403, 404):
            raise CatalogError(
                f"Airflow at {self.url} does not let the account `{self.username}` release {service} ({status}).",
                code="airflow.release-not-allowed",
                remedy="Let SLIPWAY_AIRFLOW_USER name an account that may start its DAG; Airflow must have Slipway's plugin.",
            )
        raise _kind(status)(
            f"Airflow at {self.url} would not say which run of {service} is meant ({status}): {_said(answer)}",
            code="airflow.release-not-told",
            remedy="See that the ledger answers, and the log of Airflow's API server.",
        )

    def dag(self, dag_id: str) -> Dag:
        """Gives what Airflow says of a DAG: whether it is there, paused, or cannot be imported."""
        status, answer = self._call("GET", f"/api/v2/dags/{quote(dag_id)}")
        if status == 404:
            return Dag(dag_id, is_there=False)
        if status != 200:
            raise _kind(status)(
                f"Airflow at {self.url} would not tell how DAG {dag_id} is ({status}).",
                code="airflow.dag-not-told",
                remedy="Look at it in the UI.",
                lines=[_said(answer)],
            )
        return Dag(
            dag_id,
            is_there=not answer.get("is_stale"),
            is_paused=bool(answer["is_paused"]),
            has_import_errors=bool(answer.get("has_import_errors")),
        )

    def startable(self, dag_id: str) -> list[Obstacle]:
        """Gives what a run of a DAG will wait for.

        :raises CatalogError: when it cannot be started at all.
        """
        found = of_dag(self.dag(dag_id))
        refuse(found)
        return found

    def state(self, dag_id: str, run_id: str) -> str:
        """Gives the run's state: queued, running, success or failed."""
        return str(self._of_run(dag_id, run_id)["state"])

    def task_state(self, dag_id: str, run_id: str, task_id: str) -> str | None:
        """Gives the state of a run's task; None before it has one."""
        state: str | None = self._of_run(dag_id, run_id, f"/taskInstances/{quote(task_id)}")["state"]
        return state

    def _of_run(self, dag_id: str, run_id: str, part: str = "") -> dict[str, Any]:
        status, answer = self._call("GET", f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}{part}")
        if status == 200:
            return answer
        raise _kind(status)(
            f"Airflow at {self.url} would not tell how {run_id} is ({status}).",
            code="airflow.run-not-told",
            remedy="Look at it in the UI; `slipway releases show` tells what the ledger knows.",
            lines=[_said(answer)],
        )

    def given(self, dag_id: str, run_id: str, kind: type[G], *, of: str | None = None) -> G | None:
        """Gives what a task gave; None if it gave nothing.

        :param of: id of the task, where the type does not say it.
        """
        task = of or kind.by
        path = f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(run_id)}/taskInstances/{quote(task)}/xcomEntries/{quote(kind.key)}"
        status, answer = self._call("GET", f"{path}?deserialize=true")
        return kind.load(answer["value"], task) if status == 200 and answer.get("value") else None

    def page(self, dag_id: str, run_id: str) -> str:
        """Gives the run's page in the UI."""
        return f"{self.url}/dags/{quote(dag_id)}/runs/{quote(run_id)}"
