"""Pods that run once in the service's namespace: the provider's KubernetesPodOperator, restricted and recorded."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException

from slipway.errors import PolicyFailed, Transient
from slipway.stages import connections, links
from slipway.stages.outcome import recorded, seconds

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service


class ReleasePod(KubernetesPodOperator):
    """Runs a pod to its end; what its container writes to /dev/termination-log, as JSON, is the task's result.

    :param init: a container that runs before: ``{"image": …, "command": […]}``; shares ``/work`` with the pod's own.
    :param secret: name of a Secret that is mounted as files at /run/slipway. (templated)
    :param files: name of a ConfigMap that is mounted as files at /files. (templated)
    :param account: service account whose token the pod gets; None means none.
    :param timeout_s: seconds after which the pod is ended, which fails the task.
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
        secret: str | None = None,
        files: str | None = None,
        account: str | None = None,
        environment: dict[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        self._said: deque[str] = deque(maxlen=40)
        self.timeout_s = timeout_s
        restricted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        volumes: list[dict[str, Any]] = [{"name": "tmp", "emptyDir": {}}, {"name": "work", "emptyDir": {}}]
        mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "work", "mountPath": "/work"}]
        if secret:
            volumes.append({"name": "secret", "secret": {"secretName": secret, "defaultMode": 0o440}})
            mounts.append({"name": "secret", "mountPath": "/run/slipway", "readOnly": True})  # type: ignore[dict-item]
        if files:
            volumes.append({"name": "files", "configMap": {"name": files}})
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
            startup_timeout_seconds=120,
            startup_check_interval_seconds=1,
            base_container_status_polling_interval=0.3,
            log_pod_spec_on_failure=False,
            log_events_on_failure=True,
            log_events_on_startup=False,
            container_name_log_prefix_enabled=False,
            on_finish_action="delete_pod",
            on_kill_action="delete_pod",
            execution_timeout=seconds(timeout_s),
            pool="slipway_cluster",
            **kwargs,
        )
        self.log_formatter = self._hear

    def _hear(self, _container: str, message: str) -> str:
        if (
            message.strip() and message not in self._said
        ):  # the operator reads the last second again, now and then
            self._said.append(message)
        return message

    def execute(self, context: Context) -> None:
        """Run the pod.

        :raises AirflowFailException: if its container ends with 1. :raises AirflowException: if it ends otherwise.
        """
        with recorded(context):
            self._said.clear()
            try:
                super().execute(context)
            except AirflowException as e:
                raise self._failure(e) from e
            # by hand: the operator's own do_xcom_push would put a sidecar into the pod for it
            context["ti"].xcom_push(key="return_value", value=self._told())

    def _told(self) -> Any:
        message = (self._terminated() or {}).get("message")
        try:
            return json.loads(message) if message else None
        except ValueError:  # of a container that has nothing to tell, such as the service's own
            return None

    def _terminated(self) -> dict[str, Any] | None:
        statuses = self.remote_pod.status.container_statuses if self.remote_pod else None
        for status in statuses or []:
            if status.name == "base" and status.state and status.state.terminated:
                ended: dict[str, Any] = status.state.terminated.to_dict()
                return ended
        return None

    def _failure(self, error: Exception) -> Exception:
        ended, lines = self._terminated(), list(self._said)[-20:]
        if self.remote_pod and self.remote_pod.status.reason == "DeadlineExceeded":
            return PolicyFailed(
                f"{self.task_id} took longer than {self.timeout_s:.0f} s and was ended", lines=lines
            )
        if ended and ended["exit_code"] == 1:
            return PolicyFailed(
                f"{self.task_id} failed: {lines[-1] if lines else 'it says nothing'}", lines=lines
            )
        if ended:
            return Transient(
                f"{self.task_id} ended with {ended['exit_code']} ({ended.get('reason')})", lines=lines
            )
        return Transient(f"{self.task_id}: the pod did not run: {error}", lines=lines)
