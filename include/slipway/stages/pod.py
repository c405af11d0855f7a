"""Pods that run once in the service's namespace, as the DAG declares them; how one runs is in `pod_run`."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from slipway.adapters import cluster
from slipway.errors import PolicyFailed
from slipway.stages import connections, lanes, leases, links, xcom
from slipway.stages.container import RUN
from slipway.stages.image import PUSHED
from slipway.stages.outcome import recorded, seconds

if TYPE_CHECKING:
    from airflow.sdk import Context

    from slipway.catalog import Service
    from slipway.release.given import Given
    from slipway.stages.pod_run import RunningPod


FILES_LIMIT = 1_000_000
"""Bytes of what a pod gets in /files: a ConfigMap has room for 1 MiB (Kubernetes' documentation of ConfigMaps)."""


def packed(files: Mapping[str, bytes]) -> bytes:
    """Give files as a compressed tar, the same bytes for the same files but for the time in its head."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for path, content in sorted(files.items()):
            info = tarfile.TarInfo(path)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


class ReleasePod(BaseOperator):
    """Runs a pod to its end; what its container writes to /dev/termination-log, as JSON, is the task's result.

    While a DAG file is parsed this is all there is of it. The provider's KubernetesPodOperator, which takes longer to import than
    all of the DAG to parse, is made of it when the task runs.

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

    template_fields: Sequence[str] = ("manifest",)
    operator_extra_links = (links.PodsLink(), links.ReleaseLink())

    def __init__(
        self,
        *,
        service: Service,
        image: str,
        command: Sequence[str],
        timeout_s: float,
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
        super().__init__(
            # a pod of ours may wait as long for a node and its image as those of the service
            execution_timeout=seconds(service.deploy.rollout.timeout_s + timeout_s),
            do_xcom_push=False,
            **{"pool": "slipway_cluster", **kwargs},
        )
        self.startup_timeout_s, self.timeout_s = service.deploy.rollout.timeout_s, timeout_s
        self.namespace, self.is_service = service.deploy.namespace, image == PUSHED
        self.brings, self.role, self.database, self.files = secrets, role, database, files
        self.service_name, self.neighbours = service.service, neighbours
        self.gives = gives
        self.late_environment: dict[str, str] = {}  # what only the task that runs knows
        self._pod: RunningPod | None = None
        restricted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        volumes: list[dict[str, Any]] = [
            {"name": name, "emptyDir": {"sizeLimit": "512Mi"}} for name in ("tmp", "work")
        ]
        mounts = [{"name": "tmp", "mountPath": "/tmp"}, {"name": "work", "mountPath": "/work"}]
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
        self.manifest: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"labels": {"app.kubernetes.io/managed-by": "slipway"}},
            "spec": spec,
        }

    def execute(self, context: Context) -> None:
        """Run the pod.

        :raises AirflowFailException: if its container ends with 1, or it is the service's own and ends with another.
        :raises AirflowException: if it ends otherwise.
        """
        with recorded(context):
            # by hand: the operator's own do_xcom_push would put a sidecar into the pod for it
            if (result := self.result(context)) is not None:
                xcom.give(context["ti"], result)

    def result(self, context: Context) -> Given | None:
        """Give the task's result."""
        lanes.held(context)
        return self.ended(context, self.told(context))

    def told(self, context: Context) -> Any:
        """Run the pod to its end, and give what it told."""
        from slipway.stages.pod_run import RunningPod

        with ExitStack() as given_back:
            self._provide(context, given_back)
            self.begins(context)
            if self.neighbours:
                self.late_environment["PODS"] = " ".join(
                    cluster.running_pods(connections.cluster(), self.namespace)
                )
            self._pod = RunningPod(declared=self)
            return self._pod.run(context, self.ended_badly)

    def on_kill(self) -> None:
        """Delete the pod, too."""
        if self._pod:
            self._pod.on_kill()

    def begins(self, context: Context) -> None:
        """Do what must be done before the pod may change anything."""

    def ended(self, context: Context, told: Any) -> Given | None:
        """Take what the pod told at its end, and give the task's result.

        :raises PolicyFailed: if what it told is a fault of the service.
        """
        return self.gives.load(told, self.task_id) if self.gives and told else None

    def ended_badly(self, context: Context, told: dict[str, Any]) -> None:
        """Take what a pod told that failed."""

    @property
    def brought(self) -> list[str]:
        """What the pod is to own: kinds of objects that are made for it alone, and go with it."""
        return [*(["config_map"] if self.files else []), *(["secret"] if self.brings or self.role else [])]

    @property
    def own_name(self) -> str:
        """The name of what the pod is to own. The template must have been rendered."""
        return next(
            str(one["secret"]["secretName"] if "secret" in one else one["configMap"]["name"])
            for one in self.manifest["spec"]["volumes"]
            if "secret" in one or "configMap" in one
        )

    def _provide(self, context: Context, given_back: ExitStack) -> None:
        """Make the Secret and the ConfigMap that the pod mounts; they go when the body ends, however it does."""
        namespace, run_id = self.namespace, context["dag_run"].run_id
        labels = {"app.kubernetes.io/part-of": self.service_name, "slipway/purpose": "release"}
        if self.files:
            name, files = self.own_name, self.files()
            if (size := sum(map(len, files.values()))) > FILES_LIMIT:
                raise PolicyFailed(
                    f"{' and '.join(files)} of {self.task_id} have {size} bytes, packed, and a pod can be given {FILES_LIMIT}",
                    code="pod.files-too-large",
                    remedy="take out of that folder what the pod does not read",
                )
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
                files,
                labels=labels,
                annotations={leases.RUN: run_id},
            )
        if self.brings or self.role:
            held = leases.held(
                connections.cluster(),
                namespace,
                self.own_name,
                run_id=run_id,
                labels=labels,
                files=self.brings,
                role=self.role,
                database=self.database,
            )
            given_back.enter_context(held)
