"""A pod of a release: the provider's KubernetesPodOperator, restricted, and run as the work of a task of ours.

Only tasks that run import this module: what it imports costs more than the whole of a DAG to parse.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodPhase
from airflow.sdk.exceptions import AirflowException
from kubernetes.client import V1EnvVar

from slipway.adapters import cluster
from slipway.errors import Permanent, PolicyFailed, SlipwayError, Transient
from slipway.release.telling import from_the_first_bad, telling
from slipway.stages import connections, provider
from slipway.stages.sensor import Told

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.stages.pod import ReleasePod

LOG_LIMIT = 5_000_000
"""Characters that a pod may write: the operator hands every line on to Airflow's log."""


AGAIN = "see that what it works with answers (database, cluster, registry), then clear the task"


class RunningPod(KubernetesPodOperator):
    """The pod of a task.

    :param declared: what it runs, its template rendered.
    """

    def __init__(self, *, declared: ReleasePod, **kwargs: Any) -> None:
        self._said: deque[str] = deque(maxlen=40)
        self._heard = 0
        self._kept: cluster.Obstacle | None = None
        self.declared = declared
        super().__init__(
            task_id=declared.task_id,
            kubernetes_conn_id=connections.cluster_id(),
            namespace=declared.namespace,
            pod_template_dict=declared.manifest,
            env_vars=[V1EnvVar(name=name, value=value) for name, value in declared.late_environment.items()],
            startup_timeout_seconds=declared.startup_timeout_s,
            base_container_status_polling_interval=0.3,
            log_pod_spec_on_failure=False,
            log_events_on_failure=True,
            log_events_on_startup=False,
            container_name_log_prefix_enabled=False,
            on_finish_action="delete_pod",
            on_kill_action="delete_pod",
            log_formatter=self._hear,
            **kwargs,
        )

    def run(self, context: Context, ended_badly: Callable[[Context, dict[str, Any]], None]) -> Any:
        """Run the pod to its end, and give what it told.

        :param ended_badly: gets what it told if it failed.
        :raises SlipwayError: if it fails.
        """
        try:
            with cluster.explained(f"running the pod of {self.task_id}"):
                provider.run(self, context)
        except AirflowException as e:
            # the operator's clean-up raises its own over ours
            if isinstance(e.__context__, SlipwayError):
                raise e.__context__ from None
            if isinstance(told := self._told(), dict):
                ended_badly(context, told)
            raise self._failure(e) from e
        return self._told()

    def _hear(self, _container: str, message: str) -> str:
        self._heard += len(message)
        if self._heard > LOG_LIMIT:
            raise PolicyFailed(
                f"{self.task_id} wrote more than {LOG_LIMIT} characters and was ended",
                code="pod.log-too-long",
                lines=list(self._said)[-20:],
            )
        if (
            message.strip() and message not in self._said
        ):  # the operator reads the last second again, now and then
            self._said.append(message)
        return message

    def await_pod_start(self, pod: Any) -> None:
        """Wait until the pod has left Pending, and tell meanwhile what keeps it.

        :raises Transient: what it needs (a node, an image, a Secret) is the platform's, and does not come by waiting.
        :raises Permanent: if it has not started when the time of a rollout is over: that is not tried once more.
        """
        limit_s, tell = self.startup_timeout_seconds, Told()
        deadline = time.monotonic() + limit_s
        while True:
            seen = self.pod_manager.read_pod(pod)
            if seen.status.phase not in ("Pending", "Unknown"):
                return
            kept = self._kept = cluster.keeps(connections.cluster(), seen, timeout_s=limit_s)
            if kept and kept.is_final:
                raise Transient(
                    f"{self.task_id}: pod {seen.metadata.name} does not start: {kept.text}",
                    code="pod.does-not-start",
                    remedy="see that the cluster has room for it, and what it mounts and pulls",
                )
            if time.monotonic() > deadline:
                raise self._never_began(seen.metadata.name, limit_s)
            if kept:
                tell(str(kept))
            time.sleep(0.3)

    def await_pod_completion(self, pod: Any) -> None:  # type: ignore[override]  # the operator's is wrapped
        """Wait until the container has ended, and then for the pod, which says so a moment later.

        The operator looks for that every two seconds.
        """
        super().await_pod_completion(pod)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if self.pod_manager.read_pod(pod).status.phase in PodPhase.terminal_states:
                return
            time.sleep(0.2)

    def _never_began(self, pod: str, after_s: float) -> Permanent:
        why = self._kept.text if self._kept else "it is not said why"
        return Permanent(
            f"{self.task_id}: pod {pod} has not started after {after_s:.0f} s: {why}",
            code="pod.not-started-in-time",
            remedy=self._kept.cause.remedy if self._kept else AGAIN,
        )

    def get_or_create_pod(self, pod_request_obj: Any, context: Context) -> Any:
        """Give the pod of this task, a new one or that of an earlier try, as the owner of what it mounts."""
        pod = super().get_or_create_pod(pod_request_obj, context)
        if not self.declared.brought:
            return pod
        # of a new pod the operator gives what it asked for, which has no uid yet
        pod = self.pod_manager.read_pod(pod)
        for kind in self.declared.brought:
            cluster.own(connections.cluster(), kind, self.declared.namespace, self.declared.own_name, pod)
        return pod

    def _told(self) -> Any:
        message = (self._terminated() or {}).get("message")
        return told(message)

    def _terminated(self) -> dict[str, Any] | None:
        statuses = self.remote_pod.status.container_statuses if self.remote_pod else None
        for status in statuses or []:
            if status.name == "base" and status.state and status.state.terminated:
                ended: dict[str, Any] = status.state.terminated.to_dict()
                return ended
        return None

    def _began(self) -> bool:
        """Tell whether the pod's own container ever ran: until then the time went by for want of something else."""
        statuses = self.remote_pod.status.container_statuses if self.remote_pod else None
        states = [one.state for one in statuses or [] if one.name == "base" and one.state]
        return any(one.running or (one.terminated and one.terminated.started_at) for one in states)

    def _failure(self, error: Exception) -> Exception:
        lines = from_the_first_bad(list(self._said))
        pod = self.remote_pod
        if pod and pod.status.reason == "DeadlineExceeded" and not self._began():
            return self._never_began(pod.metadata.name, self.declared.timeout_s)
        if pod and pod.status.reason == "DeadlineExceeded":
            return PolicyFailed(
                f"{self.task_id} took longer than {self.declared.timeout_s:.0f} s and was ended",
                code="pod.timed-out",
                remedy="make it quicker, or raise timeout_s in the catalog",
                lines=lines,
            )
        if pod and (ended := cluster.of_end(pod)):
            kind = PolicyFailed if ended.verdict is PolicyFailed else Transient
            return kind(
                f"{self.task_id}: the pod was ended by the cluster: {ended.text}",
                code="pod.ended-by-cluster",
                remedy=ended.cause.remedy,
                lines=lines,
            )
        return verdict(
            self.task_id, self._terminated(), lines, is_service=self.declared.is_service
        ) or Transient(
            f"{self.task_id}: the pod did not run: {error}", code="pod.did-not-run", remedy=AGAIN, lines=lines
        )


_ENDED_FROM_OUTSIDE = (137, 143)  # by SIGKILL or SIGTERM: a node that goes away, a pod that is deleted


def told(message: str | None) -> Any:
    """Give what a container wrote to /dev/termination-log as JSON, compressed if it begins with ``z:``; None if it is none."""
    try:
        if message and message.startswith("z:"):
            message = zlib.decompress(base64.b64decode(message[2:]), bufsize=1 << 20).decode()
        return json.loads(message) if message else None
    except (ValueError, zlib.error):  # of a container that has nothing to tell, such as the service's own
        return None


def verdict(
    task_id: str, ended: dict[str, Any] | None, lines: list[str], *, is_service: bool
) -> Exception | None:
    """Give the error that the end of a pod's container is; None if it has not ended, which is no verdict.

    :param ended: the state `terminated` of the container.
    :param is_service: whether its image is the service's own: then whatever it ends with is the service's doing; of a
        toolbox only 1 is.
    """
    if not ended:
        return None
    # what it tells in /dev/termination-log, or the runtime's words if it could not be started
    message = str(ended.get("message") or "").strip()
    found = told(message)
    if isinstance(found, dict):
        why = str(found.get("error") or telling(lines))
        if found.get("statement"):
            lines = [f"statement: {found['statement']}", *lines]
    else:
        why = message.splitlines()[-1] if message else telling(lines)
    code, reason = ended["exit_code"], ended.get("reason")
    if reason == "OOMKilled":
        return PolicyFailed(
            f"{task_id} used more memory than it may and was ended", code="pod.out-of-memory", lines=lines
        )
    if code == 1:
        return PolicyFailed(f"{task_id} failed: {why}", code="pod.failed", lines=lines)
    kind, remedy = (PolicyFailed, "") if is_service else (Transient, AGAIN)
    return kind(
        f"{task_id} ended with exit code {code} ({reason}): {why}",
        code="pod.broke",
        remedy=remedy,
        lines=lines,
    )
