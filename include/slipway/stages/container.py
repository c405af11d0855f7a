"""Gates that run pushed code, as the DAG declares them; how a container of one runs is in `container_run`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from slipway.ledger import reports
from slipway.release import Outcome, evidence_key, given
from slipway.stages import connections, links, xcom
from slipway.stages.outcome import is_release, recorded, seconds

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.ledger import Evidence
    from slipway.stages.container_run import GateContainer

RUN = "{{ run_id | label }}"
"""The run's id as names of containers and pods may have it (templated, with the DAG's own filter)."""


def toolbox(name: str) -> str:
    """Give the (templated) image of a toolbox, by the digest that was accepted."""
    return xcom.templated(given.Accepted, "images", name)


def evidence_of(context: Context, task_id: str) -> Evidence | None:
    """Give the evidence that the gate ``task_id`` of this run has passed already, to whom it would be work to prepare it."""
    gate = context["dag"].get_task(task_id)
    assert isinstance(gate, ContainerOperator)
    gate.render_template_fields(context)
    return gate.known(context)


class ContainerOperator(BaseOperator):
    """Runs one gate in a toolbox: unprivileged, read-only, without network unless told, bounded in everything.

    While a DAG file is parsed this is all there is of it. The provider's DockerOperator, which takes longer to import than all of
    the DAG to parse, is made of it when the task runs.

    :param command: argument list; the toolbox's scripts end with 0 passed, 1 failed, 3 could not be evaluated.
    :param timeout_s: seconds after which the command is ended, which fails the gate.
    :param verdict: looks at the reports (files of /out by name) of a command that passed; raises PolicyFailed if they
        say otherwise, and gives a line for the log.
    :param fetches: whether it is the step that fetches dependencies: it has the host's network and the settings of the
        package index, and may write to /deps.
    :param network: a network's name, ``container:<name>``, ``host`` or ``none``. (templated)
    :param workspace: id of the task that gave the volumes of source and dependencies, if that is not the checkout.
    :param policy: what decides the verdict besides source, dependencies, image, command and environment: the parts beside
        it, for example. With it, a verdict that passed is kept as evidence, and stands for the same of all of these;
        None: it runs each time. (templated)
    :param daily: whether the verdict stands for the day (UTC) only: it depends on the date.
    """

    template_fields: Sequence[str] = (
        *("image", "command", "environment", "container_name", "network"),
        *("policy", "tree", "volume", "dependencies"),
    )
    operator_extra_links = (links.ReportsLink(), links.ReleaseLink())

    def __init__(
        self,
        *,
        image: str,
        command: Sequence[str],
        timeout_s: float,
        network: str = "none",
        environment: dict[str, str] | None = None,
        memory: str = "1g",
        cpus: float = 2.0,
        verdict: Callable[[dict[str, bytes]], str] | None = None,
        fetches: bool = False,
        workspace: str | None = None,
        policy: str | None = None,
        daily: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            do_xcom_push=False,
            execution_timeout=seconds(timeout_s),
            **{"pool": "slipway_engine", **kwargs},
        )
        self.image, self.timeout_s, self.verdict, self.fetches = image, timeout_s, verdict, fetches
        # the bound is inside the container, so that it holds even when the worker is gone
        self.command = ["timeout", "--kill-after=10", str(int(timeout_s)), *command]
        self.container_name = f"slipway-{RUN}-{{{{ task.task_id | replace('.', '-') }}}}"
        self.network = "host" if fetches else network
        self.environment = {"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})}
        self.memory, self.cpus = memory, cpus
        self.policy, self.daily = policy, daily
        self.tree, self.volume, self.dependencies = (
            xcom.templated(given.Workspace, one, of=workspace) for one in ("tree", "volume", "dependencies")
        )
        self._container: GateContainer | None = None

    def execute(self, context: Context) -> None:
        """Run the gate; see the class for what fails it.

        :raises AirflowFailException: if the service falls short. :raises AirflowException: if the engine does.
        """
        from slipway.stages.container_run import GateContainer

        with recorded(context):
            container = self._container = GateContainer(gate=self)
            if self.fetches:
                # the volume belongs to all releases with these lock files; so does the container's name, to find what was
                # killed
                container.container_name = f"{self.dependencies}-fetch"
                with connections.ledger().exclusive(self.dependencies, self.timeout_s):
                    container.remove()
                    container.run(context)
                return
            # what a killed attempt left: its verdict was never recorded, so the gate runs again
            container.remove()
            started = time.monotonic()
            if known := self.known(context):
                self.log.info(
                    "passed already, for the same source, toolbox and policy: run %s, %s UTC (evidence %s)",
                    known.run_id,
                    f"{known.recorded_at:%Y-%m-%d %H:%M:%S}",
                    known.key,
                )
                reports.copy(connections.ledger(), known.run_id, context["ti"].run_id, self.task_id)
                return
            found = container.run(context)
            if self.verdict:
                self.log.info(self.verdict(found))
            if self.policy is not None and is_release(context):
                took, ti = time.monotonic() - started, context["ti"]
                connections.ledger().record_evidence(
                    self.key(), self.task_id, Outcome.PASSED, ti.run_id, self.tree, took
                )

    def on_kill(self) -> None:
        """End the container, too."""
        if self._container:
            self._container.on_kill()

    def key(self) -> str:
        """Give the key of this gate's evidence. Its templates must have been rendered."""
        rest = {
            "policy": self.policy,
            "dependencies": self.dependencies,
            "environment": self.environment,
            "memory": self.memory,
            "cpus": self.cpus,
            # a private network has the run in its name; what is in it is said by the policy
            "network": self.network if self.network in ("none", "host") else "private",
            "day": f"{datetime.now(UTC):%Y-%m-%d}" if self.daily else None,
        }
        return evidence_key(self.tree, self.image, self.command, json.dumps(rest, sort_keys=True))

    def known(self, context: Context) -> Evidence | None:
        """Give the evidence that this gate has passed already; None if it must run."""
        if self.policy is None or context["params"].get("fresh"):
            return None
        found = connections.ledger().evidence(self.key())
        return found if found is not None and found.outcome is Outcome.PASSED else None
