"""What the manifests of a service may say: the restricted profile of the Pod Security Standards, and what a release relies on.

The base is the profile *restricted* of the `Pod Security Standards`_ as of Kubernetes 1.36, in the form that admission has them
(k8s.io/pod-security-admission v0.36.3, folder policy). They are held here, too, because admission looks at pods: a Deployment
that breaks them is accepted, and its rollout fails when no pod can be made; and because a namespace may enforce less. What
the standard leaves to pods of a user namespace (``hostUsers: false``) or of Windows is refused like the rest.

These rules are our own, as no library that does this is light enough for a worker's task: checkov (3.3.30) brings almost a
hundred packages, boto3 among them, and pins `packaging` to a version that Airflow's own is years ahead of; kubernetes-validate
(1.37) knows schemas alone, in 22 MB, which the API server's dry run does better; kube-linter and its like are programs in Go.

.. _Pod Security Standards: https://kubernetes.io/docs/concepts/security/pod-security-standards/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from slipway.errors import PolicyFailed

API_VERSIONS = {
    "ServiceAccount": "v1",
    "ConfigMap": "v1",
    "Service": "v1",
    "Deployment": "apps/v1",
    "PodDisruptionBudget": "policy/v1",
}
"""The kinds that there are rules for, each of one API: another group may have a kind of the same name (Knative's Service)."""

RESERVED = "slipway-"
RUNS_PREFIX, _RUNS_OWN = "slipway/", frozenset({"kubernetes_pod_operator", "dag_id", "task_id", "run_id"})
"""How the names begin of what a release makes for itself in the namespace."""

SHOWN = 30
"""How many findings are told after the first; the rest are counted."""

# A resourceVersion would make each apply after the first fail; an owner or a finalizer decides when the object goes.
_SERVERS_OWN = (
    "resourceVersion",
    "uid",
    "managedFields",
    "ownerReferences",
    "finalizers",
    "deletionTimestamp",
)

_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_SYSCTLS = (
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_wmem",
)
_SELINUX = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_PROFILES = ("RuntimeDefault", "Localhost")
_APPARMOR = "container.apparmor.security.beta.kubernetes.io/"
_POD = "spec.template.spec"


@dataclass(frozen=True)
class Place:
    """Where something is: an object of a file (with its line, if that is known), and within it a container."""

    file: str
    kind: str
    name: str
    container: str | None = None

    def __str__(self) -> str:
        within = f", container {self.container}" if self.container else ""
        return f"{self.file}: {self.kind} {self.name}{within}"


@dataclass(frozen=True)
class Finding:
    """One thing that is not allowed.

    :param text: file, object, container, field and what is wrong.
    :param code: which rule it is against, as of our errors.
    :param remedy: what to do about it.
    """

    text: str
    code: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}"


def check(objects: Iterable[tuple[str, Any]], *, released: tuple[str, str] | None = None) -> None:
    """Refuse manifests that say what no service may.

    :param objects: where each is (``file:line``), and its content.
    :param released: Deployment and container whose image the release puts in: every other must be pinned by digest. Without
        it images are left to :func:`slipway.release.manifests.release_of`.
    :raises PolicyFailed: with the first finding as its message and all others as its lines.
    """
    if found := findings(objects, released=released):
        lines = [str(one) for one in found[1 : SHOWN + 1]]
        if len(found) > SHOWN + 1:
            lines.append(f"and {len(found) - SHOWN - 1} more")
        raise PolicyFailed(found[0].text, code=found[0].code, remedy=found[0].remedy, lines=lines)


def findings(objects: Iterable[tuple[str, Any]], *, released: tuple[str, str] | None = None) -> list[Finding]:
    """Give what is not allowed, in the order of the objects; see :func:`check`."""
    look = _Look(list(objects), released)
    look.all()
    return look.found


class _Look:
    """A look at all manifests of a service; whatever form they have, it ends with findings rather than an error."""

    def __init__(self, objects: list[tuple[str, Any]], released: tuple[str, str] | None) -> None:
        self.objects, self.released, self.found = objects, released, list[Finding]()
        named = [_named(one) for _, one in objects]
        self.accounts = {name for kind, name in named if kind == "ServiceAccount"}
        specs = [one.get("spec") for _, one in objects if _named(one)[0] == "Service"]
        self.selectors = [one.get("selector") for one in specs if isinstance(one, Mapping)]

    def say(self, text: str, *, code: str, remedy: str) -> None:
        self.found.append(Finding(text, code, remedy))

    def mapping(self, at: Place, field: str, value: Any) -> Mapping[Any, Any]:
        """Give a mapping, empty if it is absent or (which is a finding) something else."""
        if value is None or isinstance(value, Mapping):
            return value or {}
        self.say(
            f"{at}: {field} is not a mapping",
            code="policy.field-not-a-mapping",
            remedy="give names and values below it",
        )
        return {}

    def sequence(self, at: Place, field: str, value: Any) -> Sequence[Any]:
        """Give a list, empty if it is absent or (which is a finding) something else."""
        if value is None or isinstance(value, list):
            return value or []
        self.say(
            f"{at}: {field} is not a list",
            code="policy.field-not-a-list",
            remedy="give its items below it, each after `- `",
        )
        return []

    def each(self, at: Place, field: str, value: Any) -> Iterator[Mapping[Any, Any]]:
        """Give the mappings of a list."""
        for i, one in enumerate(self.sequence(at, field, value)):
            yield self.mapping(at, f"{field}[{i}]", one)

    # --- objects ---
    def all(self) -> None:
        seen: dict[tuple[str, str], str] = {}
        for file, one in self.objects:
            kind, name = _named(one)
            at = Place(file, kind, name)
            if kind not in API_VERSIONS:
                self.say(
                    f"{at}: there are no rules for kind {kind}",
                    code="policy.kind-without-rules",
                    remedy=f"use one of {', '.join(API_VERSIONS)}",
                )
                continue
            if one.get("apiVersion") != API_VERSIONS[kind]:
                said = short(one.get("apiVersion"))
                self.say(
                    f"{at}: apiVersion is {said} rather than {API_VERSIONS[kind]}",
                    code="policy.api-version-differs",
                    remedy=f"write apiVersion: {API_VERSIONS[kind]}",
                )
            if name.startswith(RESERVED):
                self.say(
                    f"{at}: names that begin with {RESERVED} are those of Slipway's own objects",
                    code="policy.name-reserved",
                    remedy="give it another name",
                )
            metadata = self.mapping(at, "metadata", one.get("metadata"))
            for field in ("labels", "annotations"):
                self.mapping(at, f"metadata.{field}", metadata.get(field))
            for field in _SERVERS_OWN:
                if metadata.get(field):
                    self.say(
                        f"{at}: metadata.{field} is set: what is live says that, not what is released",
                        code="policy.live-field-set",
                        remedy="leave it out (`kubectl get -o yaml` adds it)",
                    )
            if (kind, name) in seen:
                self.say(
                    f"{at}: it is in {seen[kind, name]}, too",
                    code="policy.object-twice",
                    remedy="keep one of the two",
                )
            seen.setdefault((kind, name), file)
            if kind == "Service":
                self.service(at, self.mapping(at, "spec", one.get("spec")))
            elif kind == "Deployment":
                self.deployment(at, one)

    def service(self, at: Place, spec: Mapping[Any, Any]) -> None:
        # what is reached from outside the cluster is a decision of those who own the network, not of a release
        if spec.get("type") not in (None, "ClusterIP"):
            self.say(
                f"{at}: spec.type is {short(spec['type'])}: a service is reached within the cluster only",
                code="policy.service-exposed",
                remedy="leave it out (ClusterIP), and ask the platform's owners for a route from outside",
            )
        for field in ("externalIPs", "externalName"):
            if spec.get(field):
                # CVE-2020-8554: whoever may set it can draw the traffic of others to himself
                self.say(
                    f"{at}: spec.{field} is set: it draws the cluster's traffic for other addresses or names",
                    code="policy.service-draws-traffic",
                    remedy="leave it out",
                )

    def deployment(self, at: Place, one: Mapping[Any, Any]) -> None:
        spec = self.mapping(at, "spec", one.get("spec"))
        template = self.mapping(at, "spec.template", spec.get("template"))
        metadata = self.mapping(at, "spec.template.metadata", template.get("metadata"))
        labels = self.mapping(at, "spec.template.metadata.labels", metadata.get("labels"))
        for key in sorted(
            str(one) for one in labels if str(one) in _RUNS_OWN or str(one).startswith(RUNS_PREFIX)
        ):
            self.say(
                f"{at}: label {short(key)} of its pods is one by which a release knows the pods that it made itself",
                code="policy.label-reserved",
                remedy="give it another name",
            )
        pod = self.mapping(at, _POD, template.get("spec"))
        self.pod(at, pod)
        notes = self.mapping(at, "spec.template.metadata.annotations", metadata.get("annotations"))
        for key, value in notes.items():
            if str(key).startswith(_APPARMOR) and not str(value).startswith(
                ("runtime/default", "localhost/")
            ):
                self.say(
                    f"{at}: annotation {short(key)} is {short(value)}: it takes AppArmor away",
                    code="policy.apparmor-off",
                    remedy="leave it out",
                )
        context = self.mapping(at, f"{_POD}.securityContext", pod.get("securityContext"))
        containers = list(self.each(at, f"{_POD}.containers", pod.get("containers")))
        if not containers:
            self.say(
                f"{at}: {_POD}.containers is empty",
                code="policy.containers-empty",
                remedy="give the containers of its pods",
            )
        is_serving = self.is_serving(at.name, labels)
        for container in containers:
            within = replace(at, container=_name(container))
            self.container(within, container, context)
            # Required, as a rollout is complete when its pods are ready: without a probe that is as soon as they run. A liveness
            # probe is not: a container that ends is restarted without one, and one that asks for too much restarts what
            # is merely slow, or all of what waits for the same database.
            if is_serving and not container.get("readinessProbe"):
                self.say(
                    f"{within}: readinessProbe is missing: its pods would be taken for ready as soon as they run",
                    code="policy.readiness-probe-missing",
                    remedy="add one that answers when the container can serve",
                )
        for field in ("initContainers", "ephemeralContainers"):
            for container in self.each(at, f"{_POD}.{field}", pod.get(field)):
                self.container(replace(at, container=_name(container)), container, context)

    def is_serving(self, name: str, labels: Mapping[Any, Any]) -> bool:
        """Whether a Deployment is the released one, whose health is asked, or a Service of the manifests selects its pods."""
        if self.released and name == self.released[0]:
            return True
        return any(
            isinstance(one, Mapping) and one and all(labels.get(key) == value for key, value in one.items())
            for one in self.selectors
        )

    # --- pods ---
    def pod(self, at: Place, pod: Mapping[Any, Any]) -> None:
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if not _off(pod.get(field)):
                self.say(
                    f"{at}: {_POD}.{field} is {short(pod[field])}: its pods would be part of the node",
                    code="policy.host-namespace",
                    remedy="leave it out",
                )
        context = self.mapping(at, f"{_POD}.securityContext", pod.get("securityContext"))
        self.context(at, f"{_POD}.securityContext", context)
        for one in self.each(at, f"{_POD}.securityContext.sysctls", context.get("sysctls")):
            if one.get("name") not in _SYSCTLS:
                self.say(
                    f"{at}: sysctl {short(one.get('name'))} is not one that is safe for others on the node",
                    code="policy.sysctl-unsafe",
                    remedy=f"leave it out; safe ones are {', '.join(_SYSCTLS)}",
                )
        account = pod.get("serviceAccountName") or pod.get("serviceAccount")
        is_own = isinstance(account, str) and account in self.accounts
        if isinstance(account, str) and account.startswith(RESERVED):
            self.say(
                f"{at}: {_POD}.serviceAccountName is {account}: that is an account of Slipway's",
                code="policy.account-reserved",
                remedy="name a ServiceAccount of the manifests",
            )
        if not is_own and pod.get("automountServiceAccountToken") is not False:
            self.say(
                f"{at}: {_POD}.automountServiceAccountToken is not false: its pods get a token for the API server",
                code="policy.token-mounted",
                remedy="write automountServiceAccountToken: false, or add a ServiceAccount to the manifests and name it",
            )
        for one in self.each(at, f"{_POD}.volumes", pod.get("volumes")):
            self.volume(at, one, is_own=is_own)

    def volume(self, at: Place, volume: Mapping[Any, Any], *, is_own: bool) -> None:
        name = _name(volume)
        for source in volume:
            if source != "name" and source not in _VOLUMES and volume[source] is not None:
                self.say(
                    f"{at}: volume {name} is of type {short(source)}: it reaches what is not the service's",
                    code="policy.volume-type",
                    remedy=f"use one of {', '.join(_VOLUMES)}",
                )
        projected = self.mapping(at, f"volume {name}: projected", volume.get("projected"))
        for one in self.each(at, f"volume {name}: projected.sources", projected.get("sources")):
            if one.get("serviceAccountToken") is not None and not is_own:
                self.say(
                    f"{at}: volume {name} gives its pods a token of an account that is not the service's",
                    code="policy.volume-token",
                    remedy="add a ServiceAccount to the manifests and name it",
                )

    def context(self, at: Place, path: str, context: Mapping[Any, Any]) -> None:
        """Look at what a securityContext says of pods and containers alike."""
        windows = self.mapping(at, f"{path}.windowsOptions", context.get("windowsOptions"))
        if not _off(windows.get("hostProcess")):
            self.say(
                f"{at}: {path}.windowsOptions.hostProcess is {short(windows['hostProcess'])}: it would run on the node",
                code="policy.host-process",
                remedy="leave it out",
            )
        if context.get("runAsUser") in (0, "0"):
            self.say(
                f"{at}: {path}.runAsUser is 0: it would run as root",
                code="policy.root-user",
                remedy="name another user, such as 10001, or leave it to the image",
            )
        armor = context.get("appArmorProfile")
        if (
            armor is not None
            and self.mapping(at, f"{path}.appArmorProfile", armor).get("type") not in _PROFILES
        ):
            self.say(
                f"{at}: {path}.appArmorProfile.type is neither RuntimeDefault nor Localhost",
                code="policy.apparmor-profile",
                remedy="leave the profile out",
            )
        linux = self.mapping(at, f"{path}.seLinuxOptions", context.get("seLinuxOptions"))
        if linux.get("type") not in _SELINUX or linux.get("user") or linux.get("role"):
            self.say(
                f"{at}: {path}.seLinuxOptions has a user, a role, or a type that is not of containers",
                code="policy.selinux-options",
                remedy="leave the options out",
            )

    # --- containers ---
    def container(self, at: Place, container: Mapping[Any, Any], of_pod: Mapping[Any, Any]) -> None:
        for i, variable in enumerate(self.each(at, "env", container.get("env"))):
            value = variable.get("value")
            if value is not None and not isinstance(value, str):
                self.say(
                    f"{at}: env[{i}].value ({_name(variable)}) is {short(value)} rather than text",
                    code="policy.variable-not-text",
                    remedy="write the value in quotes",
                )
        own = self.mapping(at, "securityContext", container.get("securityContext"))
        self.context(at, "securityContext", own)
        self.rights(at, own)
        self.identity(at, own, of_pod)
        self.reach(at, container)
        self.resources(at, container)
        if self.released and (at.name, at.container) != self.released and not pinned(container.get("image")):
            self.say(unpinned(str(at), container.get("image")), code="manifest.image-unpinned", remedy=PIN)

    def rights(self, at: Place, context: Mapping[Any, Any]) -> None:
        if not _off(context.get("privileged")):
            self.say(
                f"{at}: securityContext.privileged is {short(context['privileged'])}: it would be root on the node",
                code="policy.privileged",
                remedy="leave it out",
            )
        if context.get("allowPrivilegeEscalation") is not False:
            self.say(
                f"{at}: securityContext.allowPrivilegeEscalation is not false",
                code="policy.privilege-escalation",
                remedy="write allowPrivilegeEscalation: false",
            )
        if context.get("procMount") not in (None, "Default"):
            self.say(
                f"{at}: securityContext.procMount is {short(context['procMount'])}: it shows the node's /proc",
                code="policy.proc-mount",
                remedy="leave it out",
            )
        path = "securityContext.capabilities"
        capabilities = self.mapping(at, path, context.get("capabilities"))
        for one in self.sequence(at, f"{path}.add", capabilities.get("add")):
            if one != "NET_BIND_SERVICE":
                self.say(
                    f"{at}: {path}.add has {short(one)}: only NET_BIND_SERVICE may be added",
                    code="policy.capability-added",
                    remedy="leave it out",
                )
        if "ALL" not in self.sequence(at, f"{path}.drop", capabilities.get("drop")):
            self.say(
                f"{at}: {path}.drop lacks ALL",
                code="policy.capabilities-kept",
                remedy="write capabilities: {drop: [ALL]}",
            )

    def identity(self, at: Place, own: Mapping[Any, Any], of_pod: Mapping[Any, Any]) -> None:
        # the container's word counts before the pod's
        value = own.get("runAsNonRoot") if own.get("runAsNonRoot") is not None else of_pod.get("runAsNonRoot")
        if value is not True:
            self.say(
                f"{at}: securityContext.runAsNonRoot is not true, neither here nor of the pod: it may run as root",
                code="policy.root-allowed",
                remedy="write runAsNonRoot: true in the pod's securityContext, and let the image name a user",
            )
        seccomp = (
            own.get("seccompProfile")
            if own.get("seccompProfile") is not None
            else of_pod.get("seccompProfile")
        )
        if self.mapping(at, "securityContext.seccompProfile", seccomp).get("type") not in _PROFILES:
            self.say(
                f"{at}: securityContext.seccompProfile.type is neither RuntimeDefault nor Localhost, here or of the pod",
                code="policy.seccomp-profile",
                remedy="write seccompProfile: {type: RuntimeDefault} in the pod's securityContext",
            )

    def reach(self, at: Place, container: Mapping[Any, Any]) -> None:
        for i, port in enumerate(self.each(at, "ports", container.get("ports"))):
            if port.get("hostPort") not in (None, 0):
                self.say(
                    f"{at}: ports[{i}].hostPort is {short(port['hostPort'])}: it takes a port of the node",
                    code="policy.host-port",
                    remedy="leave it out: a Service leads to the container's port",
                )
        lifecycle = self.mapping(at, "lifecycle", container.get("lifecycle"))
        asked = {f: container.get(f) for f in ("livenessProbe", "readinessProbe", "startupProbe")}
        asked |= {f"lifecycle.{f}": lifecycle.get(f) for f in ("postStart", "preStop")}
        for field, value in asked.items():
            probe = self.mapping(at, field, value)
            for way in ("httpGet", "tcpSocket"):
                if self.mapping(at, f"{field}.{way}", probe.get(way)).get("host"):
                    self.say(
                        f"{at}: {field}.{way}.host is set: the node would ask another than this container",
                        code="policy.probe-host",
                        remedy="leave it out",
                    )

    def resources(self, at: Place, container: Mapping[Any, Any]) -> None:
        resources = self.mapping(at, "resources", container.get("resources"))
        # No limit of CPU: it throttles a container while others idle. Memory cannot be taken back: without a limit one
        # container may drive others off the node. Requests are what the scheduler and the quota count.
        for group, names in (("requests", ("cpu", "memory")), ("limits", ("memory",))):
            given = self.mapping(at, f"resources.{group}", resources.get(group))
            for name in names:
                if given.get(name) is None:
                    self.say(
                        f"{at}: resources.{group}.{name} is missing",
                        code="policy.resources-missing",
                        remedy="give what it needs, such as {requests: {cpu: 50m, memory: 96Mi}, limits: {memory: 256Mi}}",
                    )


PIN = "write it as name@sha256:…, so that what was looked at is what runs"


def pinned(image: Any) -> bool:
    """Whether an image is named by digest, so that it is the same whenever it is pulled."""
    head, at, digest = image.rpartition("@sha256:") if isinstance(image, str) else ("", "", "")
    return bool(head and at) and len(digest) == 64 and set(digest) <= set("0123456789abcdef")


def unpinned(at: str, image: Any) -> str:
    """Give the words for a container's image that is not."""
    return f"{at}: image {short(image)} is not pinned by digest"


def _named(one: Any) -> tuple[str, str]:
    """Give kind and name of whatever was written."""
    kind = one.get("kind") if isinstance(one, Mapping) else None
    return (kind if isinstance(kind, str) else short(kind)), _name(
        one.get("metadata") if isinstance(one, Mapping) else None
    )


def _name(one: Any) -> str:
    name = one.get("name") if isinstance(one, Mapping) else None
    return name if isinstance(name, str) and name else "(without a name)"


def _off(value: Any) -> bool:
    return value is None or value is False


def short(value: Any) -> str:
    """Give a value as a manifest has it, of a length that fits a message."""
    words = {True: "true", False: "false", None: "null"}
    text = words[value] if value is None or isinstance(value, bool) else str(value)
    return text if len(text) <= 80 else text[:79] + "…"
