"""Gates that run pushed code: the provider's DockerOperator with the bounds that such code needs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.docker.exceptions import DockerContainerFailedException
from airflow.providers.docker.operators.docker import DockerOperator
from docker.types import Mount, Ulimit

from slipway.adapters import engine
from slipway.errors import PolicyFailed, Transient
from slipway.ledger import reports
from slipway.release import Outcome, evidence_key, given
from slipway.stages import connections, links, xcom
from slipway.stages.outcome import is_release, recorded, seconds

if TYPE_CHECKING:
    from airflow.providers.docker.hooks.docker import DockerHook
    from airflow.sdk import Context

    from slipway.ledger import Evidence

TIMED_OUT, KILLED = 124, 137

_VERDICT = re.compile(r"(?:FAILED|NOT EVALUATED) [\w-]+: (.+)")
_WHERE = re.compile(r'File "/workspace/src/(.+)", line (\d+) in (\S+)')
_COUNTED = re.compile(r"\d+ findings? in ")

RUN = "{{ run_id | label }}"
"""The run's id as names of containers and pods may have it (templated, with the DAG's own filter)."""


def toolbox(name: str) -> str:
    """Give the (templated) image of a toolbox, by the digest that was accepted."""
    return xcom.templated(given.Accepted, "images", name)


def scratch() -> list[Mount]:
    """Give the writable places of a container: a bounded /tmp, and /out, whose files are kept as reports."""
    return [
        Mount("/tmp", None, type="tmpfs", tmpfs_size=512 * 1024 * 1024, tmpfs_mode=0o1777),
        Mount("/out", None, type="volume"),
    ]


def evidence_of(context: Context, task_id: str) -> Evidence | None:
    """Give the evidence that the gate ``task_id`` of this run has passed already, to whom it would be work to prepare it."""
    gate = context["dag"].get_task(task_id)
    assert isinstance(gate, ContainerOperator)
    gate.render_template_fields(context)
    return gate.known(context)


def verdict_of(said: Sequence[str]) -> tuple[str, list[str]]:
    """Give what a gate found first, with where it is, and the lines that follow; without the tools' own output before it.

    A gate without findings speaks with its verdict; one that ended without a verdict with its last line.
    """
    lines = [line for line in said if line.strip()]
    for at in reversed(range(len(lines))):
        if match := _VERDICT.fullmatch(lines[at].strip()):
            verdict, more = match[1], lines[at + 1 :][:20]
            if more and _COUNTED.match(verdict):
                return more[0].strip(), [*more[1:], verdict]
            if more and verdict.endswith(":"):
                return f"{verdict} {more[0].strip()}", more[1:]
            return verdict, more
    return (lines[-1].strip() if lines else "it says nothing"), lines[-20:]


def where_of(said: Sequence[str]) -> tuple[str, list[str]]:
    """Give in words where in the service's source a Python was when its fault handler spoke, and the lines around that.

    If it did not: no word, and the last lines.
    """
    lines = [line for line in said if line.strip()]
    for at, line in enumerate(lines):
        if match := _WHERE.search(line):
            return f" in {match[1]}:{match[2]} ({match[3]})", lines[max(0, at - 8) : at + 4]
    return "", lines[-20:]


class ContainerOperator(DockerOperator):
    """Runs one gate in a toolbox: unprivileged, read-only, without network unless told, bounded in everything.

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

    template_fields: Sequence[str] = (*DockerOperator.template_fields, "network_mode", "policy", "tree")
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
        self.timeout_s, self.verdict, self.fetches = timeout_s, verdict, fetches
        self.policy, self.daily = policy, daily
        self.tree, *volumes = (
            xcom.templated(given.Workspace, one, of=workspace) for one in ("tree", "volume", "dependencies")
        )
        super().__init__(
            image=image,
            # the bound is inside the container, so that it holds even when the worker is gone
            command=["timeout", "--kill-after=10", str(int(timeout_s)), *command],
            container_name=f"slipway-{RUN}-{{{{ task.task_id | replace('.', '-') }}}}",
            docker_conn_id=connections.ENGINE,
            network_mode="host" if fetches else network,
            mounts=[
                Mount("/workspace", volumes[0], type="volume", read_only=True),
                Mount("/deps", volumes[1], type="volume", read_only=not fetches),
                *scratch(),
            ],
            environment={"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **(environment or {})},
            working_dir="/workspace/src",
            user=str(engine.UID),
            mem_limit=memory,
            cpus=cpus,
            ipc_mode="private",
            ulimits=[Ulimit(name="fsize", soft=512 * 1024 * 1024, hard=512 * 1024 * 1024)],
            log_opts_max_size="5m",
            labels={"slipway": "gate"},
            mount_tmp_dir=False,
            auto_remove="never",
            do_xcom_push=False,
            execution_timeout=seconds(timeout_s),
            **{"pool": "slipway_engine", **kwargs},
        )

    @cached_property
    def hook(self) -> DockerHook:
        """Give the engine's hook, whose client puts our bounds on every container it makes."""
        hook = connections.engine_hook()
        with engine.explained("signing in"):
            client: Any = hook.api_client
        plain = client.create_host_config
        bounds = {**engine.BOUNDS, "nano_cpus": int(self.cpus * 1e9)}
        client.create_host_config = lambda *a, **k: plain(*a, **{**k, **bounds})
        attach = client.attach
        # the operator keeps every line, and Airflow's log has them, too
        client.attach = lambda *a, **k: engine.bounded(attach(*a, **k))
        return hook

    def execute(self, context: Context) -> None:
        """Run the gate; see the class for what fails it.

        :raises AirflowFailException: if the service falls short. :raises AirflowException: if the engine does.
        """
        with recorded(context):
            assert isinstance(self.container_name, str)
            if self.fetches:
                self._fetch(context)
                return
            # what a killed attempt left: its verdict was never recorded, so the gate runs again
            engine.remove_container(self.cli, self.container_name)
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
            self._run(context)
            if self.policy is not None and is_release(context):
                took, ti = time.monotonic() - started, context["ti"]
                connections.ledger().record_evidence(
                    self.key(), self.task_id, Outcome.PASSED, ti.run_id, self.tree, took
                )

    def _fetch(self, context: Context) -> None:
        index, volume = connections.platform().package_index, self.mounts[1]["Source"]
        self.environment = {**self.environment, **index.environment}
        if index.ca_volume:
            self.mounts = [
                *self.mounts,
                Mount("/run/slipway-ca", index.ca_volume, type="volume", read_only=True),
            ]
        # the volume belongs to all releases with these lock files; so does the container's name, to find what was killed
        self.container_name = f"{volume}-fetch"
        with connections.ledger().exclusive(volume, self.timeout_s):
            engine.remove_container(self.cli, self.container_name)
            self._run(context)

    def _run(self, context: Context) -> None:
        assert isinstance(self.container_name, str)
        found: dict[str, bytes] = {}
        try:
            with engine.explained(f"running {self.task_id}"):
                super().execute(context)
            found = engine.reports(self.cli, self.container_name)
        except DockerContainerFailedException as e:
            found = engine.reports(self.cli, self.container_name)
            raise self._failure([str(line) for line in e.logs or []]) from e
        finally:
            engine.remove_container(self.cli, self.container_name)
            if found and is_release(context):
                reports.keep(connections.ledger(), context["ti"].run_id, self.task_id, found)
        if self.verdict:
            self.log.info(self.verdict(found))

    def key(self) -> str:
        """Give the key of this gate's evidence. Its templates must have been rendered."""
        command = self.command if isinstance(self.command, list) else [str(self.command)]
        rest = {
            "policy": self.policy,
            "dependencies": self.mounts[1]["Source"],
            "environment": self.environment,
            "memory": self.mem_limit,
            "cpus": self.cpus,
            # a private network has the run in its name; what is in it is said by the policy
            "network": self.network_mode if self.network_mode in ("none", "host") else "private",
            "day": f"{datetime.now(UTC):%Y-%m-%d}" if self.daily else None,
        }
        return evidence_key(self.tree, self.image, command, json.dumps(rest, sort_keys=True))

    def known(self, context: Context) -> Evidence | None:
        """Give the evidence that this gate has passed already; None if it must run."""
        if self.policy is None or context["params"].get("fresh"):
            return None
        found = connections.ledger().evidence(self.key())
        return found if found is not None and found.outcome is Outcome.PASSED else None

    def _failure(self, said: list[str]) -> Exception:
        with engine.explained("inspecting the container"):
            state = self.cli.inspect_container(str(self.container_name))["State"]
        code = state["ExitCode"]
        why, findings = verdict_of(said)
        where, lines = where_of(said)
        if code == TIMED_OUT or (code == KILLED and not state["OOMKilled"]):
            return PolicyFailed(
                f"{self.task_id} took longer than {self.timeout_s:.0f} s and was ended{where}",
                code="gate.timed-out",
                remedy="make it quicker, or raise timeout_s in the catalog",
                lines=lines,
            )
        if state["OOMKilled"]:
            return PolicyFailed(
                f"{self.task_id} used more memory than {self.mem_limit} and was ended",
                code="gate.out-of-memory",
                lines=lines,
            )
        if code == 1:
            kind, _, other = str(self.network_mode).partition(":")
            # what it attacked says why it answered so
            beside = engine.log_tail(self.cli, other, 30) if kind == "container" else []
            return PolicyFailed(
                f"{self.task_id} failed: {why}", code="gate.failed", lines=[*findings, *beside]
            )
        return Transient(
            f"{self.task_id} could not be evaluated (exit code {code}): {why}",
            code="gate.not-evaluated",
            remedy="see what the tool says; when it has what it needs, clear the task",
            lines=findings,
        )
