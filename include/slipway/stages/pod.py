"""Pods that run once in the service's namespace: the provider's KubernetesPodOperator, restricted and recorded."""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException
from kubernetes.client import V1EnvVar

from slipway.adapters import cluster
from slipway.errors import Permanent, PolicyFailed, SlipwayError, Transient
from slipway.release.telling import from_the_first_bad, telling
from slipway.stages import connections, lanes, leases, links, xcom
from slipway.stages.container import RUN
from slipway.stages.image import PUSHED
from slipway.stages.outcome import recorded, seconds
from slipway.stages.sensor import Told

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.release.given import Given


LOG_LIMIT = 5_000_000
"""Characters that a pod may write: the operator hands every line on to Airflow's log."""


AGAIN = "see that what it works with answers (database, cluster, registry), then clear the task"


class ReleasePod(KubernetesPodOperator):
    """Runs a pod to its end; what its container writes to /dev/termination-log, as JSON, is the task's result.

    :param init: a container that runs before: ``{"image": …, "command": […]}``; shares ``/work`` with the pod's own.
    :param secrets: gives files for /run/slipway, asked for when the task runs. They are in a Secret that the pod owns.
    :param role: role of Vault's database engine: the pod gets credentials of it as /run/slipway/database.json, leased for
        as long as the task works.
    :param database: name of the database that they are for.
    :param files: gives files for /files, which are no secrets.
    :param account: service account whose token the pod gets; None means none.
    :param neighbours: whether the container is told, by PODS, which pods of the namespace run: who of those that it finds
        traces of is alive.
    :param gives: what the container tells, if that is the task's result as it is.
    :param timeout_s: seconds on its node after which the pod is ended, which fails the task.
    """

    operator_extra_links = (links.PodsLink(), links.ReleaseLink())

    def __init__(
        self,
        *,
        service: Service,
        image: str,
        command: Sequence[str],
        timeout_s: float,
        init: dict[str, Any] | None = None,
        secrets: Callable[[], Mapping[str, str]] | None = None,
        role: str | None = None,
        database: str | None = None,
        files: Callable[[], Mapping[str, bytes]] | None = None,
        account: str | None = None,
        environment: dict[str, str] | None = None,
        neighbours: bool = False,
        gives: type[Given] | None = None,
        **kwargs: Any,
    ) -> None:
        self._said: deque[str] = deque(maxlen=40)
        self.gives = gives
        self._heard = 0
        self.timeout_s, self.is_service, self.neighbours = timeout_s, image == PUSHED, neighbours
        self._kept: cluster.Obstacle | None = None
        restricted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        volumes: list[dict[str, Any]] = [
            {"name": name, "emptyDir": {"sizeLimit": "512Mi"}} for name in ("tmp", "work")
        ]
        mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "work", "mountPath": "/work"}]
        self.brings, self.role, self.database, self.files = secrets, role, database, files
        self.service_name = service.service
        own = f"slipway-{RUN}-{kwargs['task_id'].rpartition('.')[2].replace('_', '-')}"
        if secrets or role:
            volumes.append({"name": "secret", "secret": {"secretName": own, "defaultMode": 0o440}})
            mounts.append({"name": "secret", "mountPath": "/run/slipway", "readOnly": True})  # type: ignore[dict-item]
        if files:
            volumes.append({"name": "files", "configMap": {"name": own}})
            mounts.append({"name": "files", "mountPath": "/files", "readOnly": True})  # type: ignore[dict-item]
        resources = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"cpu": "2", "memory": "512Mi"}}
        spec: dict[str, Any] = {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": int(timeout_s),
            "terminationGracePeriodSeconds": 2,
            "enableServiceLinks": False,
            "automountServiceAccountToken": account is not None,
            "imagePullSecrets": [{"name": "registry-pull"}],
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "base",
                    "image": image,
                    "command": list(command),
                    "env": [
                        {"name": k, "value": v} for k, v in {"HOME": "/tmp", **(environment or {})}.items()
                    ],
                    "volumeMounts": mounts,
                    "securityContext": restricted,
                    "resources": resources,
                }
            ],
            "volumes": volumes,
        }
        if account:
            spec["serviceAccountName"] = account
        if init:
            spec["initContainers"] = [
                {
                    "name": "init",
                    "volumeMounts": [{"name": "work", "mountPath": "/work"}],
                    "securityContext": restricted,
                    "resources": resources,
                    **init,
                }
            ]
        super().__init__(
            kubernetes_conn_id=connections.cluster_id(),
            namespace=service.deploy.namespace,
            pod_template_dict={
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"labels": {"app.kubernetes.io/managed-by": "slipway"}},
                "spec": spec,
            },
            # a pod of ours may wait as long for a node and its image as those of the service
            startup_timeout_seconds=service.deploy.rollout.timeout_s,
            base_container_status_polling_interval=0.3,
            log_pod_spec_on_failure=False,
            log_events_on_failure=True,
            log_events_on_startup=False,
            container_name_log_prefix_enabled=False,
            on_finish_action="delete_pod",
            on_kill_action="delete_pod",
            execution_timeout=seconds(service.deploy.rollout.timeout_s + timeout_s),
            **{"pool": "slipway_cluster", **kwargs},
        )
        self.log_formatter = self._hear

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

    def _never_began(self, pod: str, after_s: float) -> Permanent:
        why = self._kept.text if self._kept else "it is not said why"
        return Permanent(
            f"{self.task_id}: pod {pod} has not started after {after_s:.0f} s: {why}",
            code="pod.not-started-in-time",
            remedy=self._kept.cause.remedy if self._kept else AGAIN,
        )

    def execute(self, context: Context) -> None:
        """Run the pod.

        :raises AirflowFailException: if its container ends with 1, or it is the service's own and ends with another.
        :raises AirflowException: if it ends otherwise.
        """
        with recorded(context), ExitStack() as given_back:
            lanes.held(context)
            self._said.clear()
            self._heard = 0
            try:
                self._provide(context, given_back)
                self.begins(context)
                if self.neighbours:
                    names = cluster.running_pods(connections.cluster(), str(self.namespace))
                    self.env_vars = [*self.env_vars, V1EnvVar(name="PODS", value=" ".join(names))]
                with cluster.explained(f"running the pod of {self.task_id}"):
                    super().execute(context)
            except AirflowException as e:
                # the operator's clean-up raises its own over ours
                if isinstance(e.__context__, SlipwayError):
                    raise e.__context__ from None
                if isinstance(told := self._told(), dict):
                    self.ended_badly(context, told)
                raise self._failure(e) from e
            # by hand: the operator's own do_xcom_push would put a sidecar into the pod for it
            if (result := self.ended(context, self._told())) is not None:
                xcom.give(context["ti"], result)

    def begins(self, context: Context) -> None:
        """Do what must be done before the pod may change anything."""

    def ended(self, context: Context, told: Any) -> Given | None:
        """Take what the pod told at its end, and give the task's result.

        :raises PolicyFailed: if what it told is a fault of the service.
        """
        return self.gives.load(told, self.task_id) if self.gives and told else None

    def ended_badly(self, context: Context, told: dict[str, Any]) -> None:
        """Take what a pod told that failed."""

    def _own_name(self) -> str:
        assert self.pod_template_dict is not None
        volumes = self.pod_template_dict["spec"]["volumes"]
        return next(
            str(one["secret"]["secretName"] if "secret" in one else one["configMap"]["name"])
            for one in volumes
            if "secret" in one or "configMap" in one
        )

    def _provide(self, context: Context, given_back: ExitStack) -> None:
        """Make the Secret and the ConfigMap that the pod mounts; they go when the body ends, however it does."""
        namespace, run_id = str(self.namespace), context["dag_run"].run_id
        labels = {"app.kubernetes.io/part-of": self.service_name, "slipway/purpose": "release"}
        if self.files:
            name = self._own_name()
            given_back.callback(
                leases.as_far_as_possible,
                cluster.delete,
                connections.cluster(),
                "config_map",
                namespace,
                name,
            )
            cluster.put_config_map(
                connections.cluster(),
                namespace,
                name,
                self.files(),
                labels=labels,
                annotations={leases.RUN: run_id},
            )
        if self.brings or self.role:
            held = leases.held(
                connections.cluster(),
                namespace,
                self._own_name(),
                run_id=run_id,
                labels=labels,
                files=self.brings,
                role=self.role,
                database=self.database,
            )
            given_back.enter_context(held)

    def get_or_create_pod(self, pod_request_obj: Any, context: Context) -> Any:
        """Give the pod of this task, a new one or that of an earlier try, as the owner of what it mounts."""
        pod = super().get_or_create_pod(pod_request_obj, context)
        if not (self.files or self.brings or self.role):
            return pod
        # of a new pod the operator gives what it asked for, which has no uid yet
        pod = self.pod_manager.read_pod(pod)
        for kind in [
            *(["config_map"] if self.files else []),
            *(["secret"] if self.brings or self.role else []),
        ]:
            cluster.own(connections.cluster(), kind, str(self.namespace), self._own_name(), pod)
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
            return self._never_began(pod.metadata.name, self.timeout_s)
        if pod and pod.status.reason == "DeadlineExceeded":
            return PolicyFailed(
                f"{self.task_id} took longer than {self.timeout_s:.0f} s and was ended",
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
        if why := failed_before(pod):
            return PolicyFailed(
                f"{self.task_id}: the image does not give what is asked of it: {why}",
                code="pod.changelog-not-copied",
                remedy="see that the Dockerfile puts the migrations into the image, and leaves it `cp`",
                lines=lines,
            )
        return verdict(self.task_id, self._terminated(), lines, is_service=self.is_service) or Transient(
            f"{self.task_id}: the pod did not run: {error}", code="pod.did-not-run", remedy=AGAIN, lines=lines
        )


_ENDED_FROM_OUTSIDE = (137, 143)  # by SIGKILL or SIGTERM: a node that goes away, a pod that is deleted


def failed_before(pod: Any) -> str | None:
    """Give how the container that ran before a pod's own failed: its image is the service's. None if it did not."""
    statuses = pod.status.init_container_statuses if pod else None
    for one in statuses or []:
        ended = one.state.terminated if one.state else None
        if ended and ended.exit_code not in (0, *_ENDED_FROM_OUTSIDE):
            said = str(ended.message or "").strip().splitlines()
            return f"container {one.name} ended with {ended.exit_code}" + (f": {said[-1]}" if said else "")
    return None


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
