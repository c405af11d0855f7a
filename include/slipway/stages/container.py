"""Gates that run pushed code, as the DAG declares them; how a container of one runs is in `container_run`."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from slipway.ledger import findings, reports
from slipway.release import Outcome, evidence_key, given
from slipway.release.findings import OFF, Finding, Verdict
from slipway.stages import connections, links, verdicts, xcom
from slipway.stages.outcome import Ending, recorded, seconds
from slipway.stages.queue import is_release
from slipway.stages.verdicts import Judge

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog.service import Gate
    from slipway.ledger import Evidence
    from slipway.stages.container_run import GateContainer, Ran

RUN = "{{ run_id | label }}"
"""The run's id as names of containers and pods may have it (templated, with the DAG's own filter)."""


def toolbox(name: str) -> str:
    """Give the (templated) image of a toolbox, by the digest that was accepted."""
    return xcom.templated(given.Accepted, "images", name)


def settled(context: Context, task_id: str) -> str | None:
    """Give why the gate ``task_id`` of this run does not run, to whom it would be work to prepare it; None if it does."""
    settling = _gate(context, task_id).settling(context)
    return settling.why if settling else None


def conclude(context: Context, task_id: str) -> bool:
    """End the gate ``task_id`` of this run without its task, if it need not run; False if it must.

    Its end is on record as if its task had told it.
    """
    gate = _gate(context, task_id)
    settling = gate.settling(context)
    if settling is None:
        return False
    ending, started = Ending(), datetime.now(UTC)
    gate.end(context, settling, ending)
    took = (datetime.now(UTC) - started).total_seconds()
    ledger, run_id = connections.ledger(), context["ti"].run_id
    ledger.stage(run_id, task_id, ending.outcome, took, ending.reason, started_at=started)
    return True


def _gate(context: Context, task_id: str) -> ContainerOperator:
    gate = context["dag"].get_task(task_id)
    assert isinstance(gate, ContainerOperator)
    gate.render_template_fields(context)
    return gate


@dataclass(frozen=True)
class Settling:
    """What makes a gate need not run.

    :param why: in words. :param known: the evidence by which it passes; None if the catalog switches it off.
    :param verdict: what follows from that, today; None if whatever it finds stops.
    """

    why: str
    judge: Judge | None = None
    known: Evidence | None = None
    verdict: Verdict | None = None


class ContainerOperator(BaseOperator):
    """Runs one gate in a toolbox: unprivileged, read-only, without network unless told, bounded in everything.

    While a DAG file is parsed this is all there is of it. The provider's DockerOperator, which takes longer to import than all of
    the DAG to parse, is made of it when the task runs.

    :param command: argument list; the toolbox's scripts end with 0 passed, 1 failed, 3 could not be evaluated.
    :param timeout_s: seconds after which the command is ended, which fails the gate.
    :param verdict: looks at the reports (files of /out by name) of a command that passed; raises PolicyFailed if they
        say otherwise, and gives a line for the log.
    :param fetches: whether it is the step that fetches dependencies: it has a private network with the package proxies on it,
        and may write to /deps. Where the platform has none, it has the host's network and the settings of the package index,
        and is told to run nothing of what it fetches.
    :param network: a network's name, ``container:<name>``, ``host`` or ``none``. (templated)
    :param built: the volume of an image that was built, to be seen at /image; empty where the registry has the image, which
        was judged before it was pushed. (templated)
    :param workspace: id of the task that gave the volumes of source and dependencies, if that is not the checkout.
    :param rules: the catalog's words on what follows from the gate's findings; None: whatever it finds stops.
    :param service: whose gate it is. :param judged_as: id of the gate's task in a release, if the run is none.
    :param policy: what decides the verdict besides source, dependencies, image, command and environment: the parts beside
        it, for example. With it, what was found is kept as evidence, and stands for the same of all of these, as long as it
        lets the release pass; None: it runs each time. (templated)
    :param daily: whether the verdict stands for the day (UTC) only: it depends on the date.
    """

    template_fields: Sequence[str] = (
        *("image", "command", "environment", "container_name", "network"),
        *("policy", "tree", "volume", "dependencies", "built"),
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
        rules: Gate | None = None,
        service: str = "",
        judged_as: str | None = None,
        verdict: Callable[[dict[str, bytes]], str] | None = None,
        fetches: bool = False,
        built: str | None = None,
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
        self.policy, self.daily, self.built = policy, daily, built
        self.rules, self.service, self.judged_as = rules, service, judged_as or self.task_id
        self.tree, self.volume, self.dependencies = (
            xcom.templated(given.Workspace, one, of=workspace) for one in ("tree", "volume", "dependencies")
        )
        self._container: GateContainer | None = None

    def execute(self, context: Context) -> None:
        """Run the gate; see the class for what fails it.

        :raises AirflowFailException: if the service falls short. :raises AirflowException: if the engine does.
        """
        from slipway.stages.container_run import GateContainer

        with recorded(context) as ending:
            settling = None if self.fetches else self.settling(context)
            if settling and not settling.known:
                self.end(context, settling, ending)
                return
            if self.built == "":
                ending.reason = "the registry has the image: it was judged before it was pushed"
                print(ending.reason)
                return
            container = self._container = GateContainer(gate=self)
            if self.fetches:
                # the volume belongs to all releases with these lock files; so does the container's name, to find what was
                # killed
                container.container_name = f"{self.dependencies}-fetch"
                with connections.ledger().exclusive(self.dependencies, self.timeout_s):
                    container.remove()
                    with container.joined(context["ti"].run_id):
                        _raised(container.run(context))
                return
            if settling:
                if context["ti"].try_number > 1:
                    container.remove()  # what a killed attempt left, while another release passed
                self.end(context, settling, ending)
                return
            # what a killed attempt left: its verdict was never recorded, so the gate runs again
            container.remove()
            started = time.monotonic()
            ran = container.run(context)
            ending.reason = self._ended(context, self._judge(context), ran, time.monotonic() - started)

    def _ended(self, context: Context, judge: Judge | None, ran: Ran, took: float) -> str | None:
        """Judge how the container ended, keep that as evidence, and give what there is to say."""
        ledger = connections.ledger()
        if judge is None:
            left = _raised(ran)
            if self.verdict:
                self.log.info(self.verdict(left))
            self._keep(context, (), took)
            return None
        found = judge.found(ran.reports)
        if ran.failure and not found:
            return judge.failed(ledger, ran.failure)
        self._keep(context, found, took)
        return judge.end(ledger, judge.verdict(ledger, found), beside=ran.beside)

    def _keep(self, context: Context, found: Sequence[Finding], took: float) -> None:
        if self.policy is None or not is_release(context):
            return
        connections.ledger().record_evidence(
            self.key(),
            self.task_id,
            Outcome.FAILED if found else Outcome.PASSED,
            context["ti"].run_id,
            self.tree,
            took,
            report=verdicts.to_keep(found) if self.rules else None,
        )

    def _judge(self, context: Context) -> Judge | None:
        """Give what the gate's findings are judged by; None if whatever it finds stops."""
        if self.rules is None:
            return None
        today, run_id = datetime.now(UTC).date(), context["ti"].run_id
        if not is_release(context):
            return Judge(self.rules, self.service, self.judged_as, today)
        release = connections.ledger().record(run_id)
        return Judge(
            self.rules, self.service, self.judged_as, today, run_id, release.commit if release else None
        )

    def end(self, context: Context, settling: Settling, ending: Ending) -> None:
        """Say and keep what the gate ends with, where it need not run."""
        print(settling.why)
        ledger, judge, known = connections.ledger(), settling.judge, settling.known
        if known is None:
            ending.outcome, ending.reason = Outcome.SKIPPED, settling.why
            if judge and judge.run_id:
                findings.keep(ledger, judge.run_id, judge.stage, Verdict(OFF))
            return
        if judge and settling.verdict:
            ending.reason = judge.end(ledger, settling.verdict)
        reports.copy(ledger, known.run_id, context["ti"].run_id, self.task_id)

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

    def settling(self, context: Context) -> Settling | None:
        """Give what makes this gate need not run, as of today; None if it must.

        What stops is looked for again: it may have been the machine's, and costs a minute.
        """
        judge = self._judge(context)
        if judge and (off := judge.off()):
            return Settling(off, judge)
        if self.policy is None or context["params"].get("fresh"):
            return None
        ledger = connections.ledger()
        found = ledger.evidence(self.key())
        if found is None:
            return None
        settling = Settling(
            f"judged already, for the same source, toolbox and policy: run {found.run_id}, "
            f"{found.recorded_at:%Y-%m-%d %H:%M:%S} UTC (evidence {found.key})",
            judge,
            found,
        )
        if judge is None:
            return settling if found.outcome is Outcome.PASSED else None
        if found.outcome is not Outcome.PASSED and not found.report:
            return None
        verdict = judge.verdict(ledger, verdicts.of_kept(found.report))
        return replace(settling, verdict=verdict) if verdict.passes else None


def _raised(ran: Ran) -> dict[str, bytes]:
    """Give the reports of what ended well.

    :raises PolicyFailed: if it did not.
    """
    if ran.failure:
        raise ran.failure
    return ran.reports
