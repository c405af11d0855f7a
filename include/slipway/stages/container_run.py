"""A gate's container: the provider's DockerOperator with the bounds that pushed code needs, run as the work of a task of ours.

Only tasks that run import this module: what it imports costs more than the whole of a DAG to parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.docker.exceptions import DockerContainerFailedException
from airflow.providers.docker.operators.docker import DockerOperator
from docker.types import Mount, Ulimit

from slipway.adapters import engine
from slipway.errors import PolicyFailed, Transient
from slipway.ledger import reports
from slipway.release.gates import BUILDS
from slipway.stages import connections, provider
from slipway.stages.queue import giving_way, is_release

if TYPE_CHECKING:
    from airflow.providers.docker.hooks.docker import DockerHook
    from airflow.sdk import Context

    from slipway.stages.container import ContainerOperator

TIMED_OUT, KILLED = 124, 137
_VERDICT = re.compile(r"(?:FAILED|NOT EVALUATED) [\w-]+: (.+)")
_WHERE = re.compile(r'File "/(?:workspace|tmp)/src/(.+)", line (\d+) in (\S+)')
_COUNTED = re.compile(r"\d+ findings? in ")


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


@dataclass(frozen=True)
class Ran:
    """How a container ended.

    :param reports: the files of /out by name.
    :param failure: what it says, if its command failed. :param beside: what the container says whose network it shares.
    """

    reports: dict[str, bytes]
    failure: PolicyFailed | None = None
    beside: tuple[str, ...] = ()


class GateContainer(DockerOperator):
    """The container of a gate.

    :param gate: what it runs, its templates rendered.
    """

    def __init__(self, *, gate: ContainerOperator, **kwargs: Any) -> None:
        self.fetches, self.timeout_s = gate.fetches, gate.timeout_s
        environment = dict(gate.environment)
        mounts: list[Mount | dict[str, Any]] = [
            Mount("/workspace", gate.volume, type="volume", read_only=True),
            Mount("/deps", gate.dependencies, type="volume", read_only=not gate.fetches),
            Mount("/out", None, type="volume"),
        ]
        if gate.built:
            mounts.append(Mount("/image", gate.built, type="volume", read_only=True))
        network, self.packages = gate.network, None
        if gate.fetches:
            platform = connections.platform()
            index, self.packages = platform.package_index, platform.packages
            if self.packages:
                network = f"{gate.dependencies}-fetch"
                environment |= {**self.packages.environment(), BUILDS: "1"}
            else:
                environment |= index.environment
                if index.ca_volume:
                    mounts.append(Mount("/run/slipway-ca", index.ca_volume, type="volume", read_only=True))
        super().__init__(
            task_id=gate.task_id,
            image=gate.image,
            command=gate.command,
            container_name=gate.container_name,
            docker_conn_id=connections.ENGINE,
            network_mode=network,
            mounts=mounts,
            environment=environment,
            working_dir="/workspace/src",
            user=str(engine.UID),
            mem_limit=gate.memory,
            cpus=gate.cpus,
            ipc_mode="private",
            ulimits=[Ulimit(name="fsize", soft=512 * 1024 * 1024, hard=512 * 1024 * 1024)],
            log_opts_max_size="5m",
            labels={"slipway": "gate"},
            mount_tmp_dir=False,
            auto_remove="never",
            do_xcom_push=False,
            **kwargs,
        )

    @cached_property
    def hook(self) -> DockerHook:
        """Give the engine's hook, whose client puts our bounds on every container it makes."""
        hook = connections.engine_hook()
        with engine.explained("signing in"):
            client: Any = hook.api_client
        plain = client.create_host_config
        bounds = {
            **engine.BOUNDS,
            **engine.resolver(str(self.network_mode)),
            "nano_cpus": int(self.cpus * 1e9),
            "tmpfs": engine.SCRATCH,
        }
        client.create_host_config = lambda *a, **k: plain(*a, **{**k, **bounds})
        attach = client.attach
        # the operator keeps every line, and Airflow's log has them, too
        client.attach = lambda *a, **k: engine.bounded(attach(*a, **k))
        return hook

    def remove(self) -> None:
        """Remove the container of this name, if there is one."""
        engine.remove_container(self.cli, str(self.container_name))

    @contextmanager
    def joined(self, run_id: str) -> Iterator[None]:
        """Have the private network with the package proxies on it for as long as it is needed, if it is to run there."""
        if not self.packages:
            yield
            return
        name = str(self.network_mode)
        engine.remove_network(self.cli, name)  # of an attempt that was killed
        try:
            labels = {"slipway": "gate", "slipway.run": run_id}
            engine.package_network(self.cli, name, self.packages.container, self.packages.hosts, labels)
            yield
        finally:
            engine.remove_network(self.cli, name)

    def run(self, context: Context) -> Ran:
        """Run the container to its end, remove it, and give its reports, and what it says if its command failed.

        :raises PolicyFailed: if the command takes more than it may. :raises Transient: if it tells no verdict.
        """
        name, found = str(self.container_name), {}
        try:
            with giving_way(context, self._end), engine.explained(f"running {self.task_id}"):
                provider.run(self, context)
            found = engine.reports(self.cli, name)
        except DockerContainerFailedException as e:
            found = engine.reports(self.cli, name)
            return self._failure([str(line) for line in e.logs or []], found)
        finally:
            self.remove()
            if found and is_release(context):
                reports.keep(connections.ledger(), context["ti"].run_id, self.task_id, found)
        return Ran(found)

    def _end(self) -> None:
        # a client of its own: the operator's reads the container's output
        engine.remove_container(connections.engine_hook().api_client, str(self.container_name))

    def _failure(self, said: list[str], found: dict[str, bytes]) -> Ran:
        with engine.explained("inspecting the container"):
            state = self.cli.inspect_container(str(self.container_name))["State"]
        code = state["ExitCode"]
        why, findings = verdict_of(said)
        where, lines = where_of(said)
        if code == TIMED_OUT or (code == KILLED and not state["OOMKilled"]):
            raise PolicyFailed(
                f"{self.task_id} took longer than {self.timeout_s:.0f} s and was ended{where}",
                code="gate.timed-out",
                remedy="make it quicker, or raise timeout_s in the catalog",
                lines=lines,
            )
        if state["OOMKilled"]:
            raise PolicyFailed(
                f"{self.task_id} used more memory than {self.mem_limit} and was ended",
                code="gate.out-of-memory",
                lines=lines,
            )
        if code == 1:
            kind, _, other = str(self.network_mode).partition(":")
            # what it attacked says why it answered so
            beside = engine.log_tail(self.cli, other, 30) if kind == "container" else []
            failure = PolicyFailed(
                f"{self.task_id} failed: {why}", code="gate.failed", lines=[*findings, *beside]
            )
            return Ran(found, failure, tuple(beside))
        raise Transient(
            f"{self.task_id} could not be evaluated (exit code {code}): {why}",
            code="gate.not-evaluated",
            remedy="see what the tool says; when it has what it needs, clear the task",
            lines=findings,
        )
