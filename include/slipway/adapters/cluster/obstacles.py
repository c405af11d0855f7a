"""What keeps a pod from serving: a closed list of causes, each with whose it is and whether it passes by itself.

The one place that says, for the pods of a Deployment and for those that a release runs itself, which of Kubernetes' words
are final. It reads reasons, conditions and the cluster's own messages, in the forms in which kubelet, scheduler, API server
and container runtime write them; never what a container said (its termination message, its probe's output): that is pushed
code's, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any

from slipway.errors import Permanent, PolicyFailed, SlipwayError


class Whose(StrEnum):
    """Who has to do something about a cause that stays."""

    SERVICE = "service"
    PLATFORM = "platform"


class Ends(Enum):
    """When a cause is a verdict."""

    AT_ONCE = "at once"
    """It does not go away by itself."""
    SETTLED = "settled"
    """It goes away when somebody makes what is missing, who may be at it: a short part of the time is left for that."""
    IN_TIME = "in time"
    """The cluster tries again by itself: a verdict only when the time of the rollout is over."""


_PULL = "name an image that the registry has, and that the namespace's pull secret may pull"
_CONFIG = "create the Secret, ConfigMap, key or account that is named, or correct the manifests"
_START = "see the pod's last lines, and its configuration"
_COMMAND = "correct the container's command, user and mounts in the manifests"
_AGAIN = "when the cluster has what it needs, clear the task, which goes on"
_ROOM = (
    "give the cluster a node that fits, or ask for less, or correct node selector and affinity; "
    "then clear the task, which goes on"
)


class Cause(Enum):
    """Why a pod does not serve. The list is closed: what is in no list of ours is waited for, too."""

    def __init__(self, ends: Ends, whose: Whose, remedy: str, code: str) -> None:
        self.ends, self.whose, self.remedy, self.code = ends, whose, remedy, code

    NO_SUCH_IMAGE = (Ends.AT_ONCE, Whose.SERVICE, _PULL, "rollout.image-not-found")
    PULL_REFUSED = (Ends.AT_ONCE, Whose.SERVICE, _PULL, "rollout.pull-refused")
    INVALID_IMAGE_NAME = (Ends.AT_ONCE, Whose.SERVICE, _PULL, "rollout.image-name-invalid")
    PULL_FAILS = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"see that the nodes reach the registry; {_AGAIN}",
        "rollout.pull-fails",
    )
    MISSING = (Ends.SETTLED, Whose.SERVICE, _CONFIG, "rollout.config-missing")
    FORBIDDEN_USER = (
        Ends.AT_ONCE,
        Whose.SERVICE,
        "give the image or the container a numeric user that is not 0",
        "rollout.user-forbidden",
    )
    CONFIG_UNREAD = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"see the node's kubelet; {_AGAIN}",
        "rollout.config-unread",
    )
    CONFIG_WRONG = (Ends.IN_TIME, Whose.SERVICE, _CONFIG, "rollout.config-wrong")
    CANNOT_START = (Ends.IN_TIME, Whose.SERVICE, _COMMAND, "rollout.container-does-not-start")
    RUNTIME_FAILS = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"see the node's container runtime; {_AGAIN}",
        "rollout.runtime-fails",
    )
    CRASHED = (Ends.IN_TIME, Whose.SERVICE, _START, "rollout.container-crashed")
    CRASH_LOOP = (Ends.AT_ONCE, Whose.SERVICE, _START, "rollout.container-crash-loops")
    UNSCHEDULABLE = (Ends.IN_TIME, Whose.PLATFORM, _ROOM, "rollout.unschedulable")
    VOLUME_FAILS = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"see the volume and its driver; {_AGAIN}",
        "rollout.volume-fails",
    )
    SANDBOX_FAILS = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"see the node's network and runtime; {_AGAIN}",
        "rollout.sandbox-fails",
    )
    REFUSED = (
        Ends.AT_ONCE,
        Whose.SERVICE,
        "correct the manifests, or change the policy that refuses the pods",
        "rollout.pods-refused",
    )
    NEVER_FITS = (
        Ends.AT_ONCE,
        Whose.SERVICE,
        "ask for less in the manifests, or raise the quota",
        "rollout.never-fits",
    )
    QUOTA_USED = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"free something of the quota, raise it, or ask for less; {_AGAIN}",
        "rollout.quota-used",
    )
    NOT_CREATED = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"see what keeps the cluster from making pods; {_AGAIN}",
        "rollout.pods-not-created",
    )
    OVER_LIMIT = (
        Ends.IN_TIME,
        Whose.SERVICE,
        "write less, or raise the limit that is named",
        "rollout.over-limit",
    )
    DISRUPTED = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"see the node that the pod was on; {_AGAIN}",
        "rollout.disrupted",
    )
    NOT_READY = (
        Ends.IN_TIME,
        Whose.SERVICE,
        "see the pod's last lines, and what its readiness probe asks for",
        "rollout.not-ready",
    )
    NODE_LOST = (
        Ends.IN_TIME,
        Whose.PLATFORM,
        f"see the node that the pod is on; {_AGAIN}",
        "rollout.node-lost",
    )
    UNSEEN = (Ends.IN_TIME, Whose.PLATFORM, f"see the cluster's controllers; {_AGAIN}", "rollout.unseen")


@dataclass(frozen=True)
class Obstacle:
    """Something that keeps a pod from serving, or from being made.

    :param text: the reason and the cluster's own words.
    :param pod: the pod's name; None if there is none.
    :param whose: who has to do something if it stays.
    :param is_final: whether waiting is of no use, as of now.
    """

    cause: Cause
    text: str
    pod: str | None
    whose: Whose
    is_final: bool

    def __str__(self) -> str:
        return f"{self.text} (pod {self.pod})" if self.pod else self.text

    @property
    def verdict(self) -> type[SlipwayError]:
        """The error that it is once it is final, or the time is over: the platform's own holds no commit."""
        return PolicyFailed if self.whose is Whose.SERVICE else Permanent

    def error(self, more: str = "", *, stopped: str | None = None, lines: Iterable[str] = ()) -> SlipwayError:
        """Give the error that it is, as a verdict.

        :param more: the last line of a container that crashed.
        :param stopped: why the deployment's controller has given up, if that is what makes it a verdict.
        """
        text, kind = ": ".join(filter(None, [self.text, more])), self.verdict
        unready = self.cause in (Cause.NOT_READY, Cause.NODE_LOST)
        return kind(
            (
                f"pods cannot be created: {text}"
                if self.pod is None
                else f"pod {self.pod} is not ready: {text}"
                if unready
                else f"pod {self.pod}: {text}"
            )
            + (f"; the rollout stopped: {stopped}" if stopped else ""),
            code=self.cause.code,
            remedy=self.cause.remedy,
            lines=lines,
        )


def worst(obstacles: Iterable[Obstacle]) -> Obstacle | None:
    """Give the obstacle that decides: a final one; else one of the platform's, which leaves the commit in peace."""
    return min(
        obstacles,
        key=lambda one: (
            not one.is_final,
            one.whose is Whose.SERVICE,
            list(Cause).index(one.cause),
            one.pod or "",
        ),
        default=None,
    )


def has_ended(pod: Any) -> bool:
    """Tell whether a pod has run to its end, or was evicted: it serves no more, and stays listed for days."""
    return pod.status.phase in ("Succeeded", "Failed")


def counts(pod: Any) -> bool:
    """Tell whether a pod counts as one of its owner's, as Kubernetes' own controllers count (IsPodActive)."""
    return pod.metadata.deletion_timestamp is None and not has_ended(pod)


def is_of(thing: Any, owners: Iterable[Any]) -> bool:
    """Tell whether a thing belongs to one of ``owners``, by uid: labels may fit anybody's."""
    uids = {one.metadata.uid for one in owners}
    return any(one.uid in uids for one in thing.metadata.owner_references or [])


def is_ready(pod: Any) -> bool:
    """Tell whether a pod is ready."""
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or [])


def wants_events(pod: Any) -> bool:
    """Tell whether only a pod's events say what keeps it: before there is a container, and when it is not ready."""
    return _from_status(pod) is None and bool(pod.spec.node_name) and not is_ready(pod)


def of_pod(
    pod: Any,
    events: Sequence[Any] = (),
    *,
    settle_s: float,
    ours: str | None = None,
    now: datetime | None = None,
) -> Obstacle | None:
    """Give what keeps a pod from serving; None if nothing is known to.

    :param events: its events, if :func:`wants_events`.
    :param settle_s: seconds on a node after which something that is missing is not made any more.
    :param ours: the end of the reference of an image that the release itself pushed: if that cannot be pulled, it is no
        fault of the service's.
    """
    now = now or datetime.now(UTC)
    found = _from_status(pod) or (_from_events(pod, events) if wants_events(pod) else None)
    if found is None:
        return None
    cause, text, image = found
    whose = cause.whose
    if cause in (Cause.NO_SUCH_IMAGE, Cause.PULL_REFUSED) and image and ours and image.endswith(ours):
        whose = Whose.PLATFORM
    began = pod.status.start_time or pod.metadata.creation_timestamp
    settled = began is not None and (now - began).total_seconds() >= settle_s
    return Obstacle(cause, text, pod.metadata.name, whose, _is_final(cause, settled))


def _is_final(cause: Cause, settled: bool) -> bool:
    return cause.ends is Ends.AT_ONCE or (cause.ends is Ends.SETTLED and settled)


_Found = tuple[Cause, str, str | None]


def _from_status(pod: Any) -> _Found | None:
    found = [
        one
        for status in [*(pod.status.init_container_statuses or []), *(pod.status.container_statuses or [])]
        if (one := _of_container(status))
    ]
    if found:
        # of several containers a final one decides
        return min(found, key=lambda one: (one[0].ends is not Ends.AT_ONCE, one[0].ends is not Ends.SETTLED))
    for condition in pod.status.conditions or []:
        if condition.type == "PodScheduled" and condition.status == "False":
            return _of_scheduler(condition)
    return None


def _of_scheduler(condition: Any) -> _Found | None:
    if condition.reason != "Unschedulable":
        return None  # SchedulingGated, SchedulerError: tried again, and not told
    words = condition.message or ""
    cause = Cause.MISSING if _CLAIM.search(words) else Cause.UNSCHEDULABLE
    return cause, f"Unschedulable: {words}".rstrip(": "), None


_CLAIM = re.compile(r'persistentvolumeclaim "[^"]*" not found')

LOOP_S = 600
"""Seconds that a container must have run for its next crash not to be the same one again: then the kubelet, too, begins anew."""


def _of_container(status: Any) -> _Found | None:
    """Give what a container's status says.

    A crash can be chance; a second one after a restart is a loop. The kubelet may take a minute to try a third time.
    """
    waiting = status.state.waiting if status.state else None
    ended = status.state.terminated if status.state else None
    backs_off = waiting is not None and waiting.reason == "CrashLoopBackOff"
    if ended is None and backs_off and status.last_state:
        ended = status.last_state.terminated
    if ended is not None and ended.exit_code != 0:
        crashes = status.restart_count + 1
        why = f"{ended.reason}, " if ended.reason not in (None, "Error") else ""
        last = f"with {why}exit code {ended.exit_code}"
        if crashes >= 2 and _ran_s(ended) < LOOP_S:
            return (
                Cause.CRASH_LOOP,
                f"CrashLoopBackOff: {status.name} crashed {crashes} times, at last {last}",
                None,
            )
        return Cause.CRASHED, f"{status.name} crashed {last}, and is started again", None
    if waiting is None or waiting.reason not in _OF_REASON:
        return None
    cause = _OF_REASON[waiting.reason](_own_words(waiting.message or "", status.image))
    return cause, f"{waiting.reason}: {waiting.message or ''}".rstrip(": "), status.image


def _ran_s(ended: Any) -> float:
    if ended.started_at is None or ended.finished_at is None:
        return 0.0
    return float((ended.finished_at - ended.started_at).total_seconds())


def _own_words(message: str, image: str | None) -> str:
    """Give a message without what others have chosen in it: names of images, addresses, and whatever is quoted."""
    if image:
        message = message.replace(image, "IMAGE")
    return re.sub(r"[^\s\"]*/[^\s\"]*[^\s\":]", "NAME", re.sub(r'"[^"]*"', '""', message))


# containerd, CRI-O and registries, as the kubelet hands their words on (docs/decisions.md)
_ABSENT = re.compile(
    r": not found$|code = NotFound\b|\bmanifest unknown\b|\bname unknown\b|\bno match for platform\b"
)
_DENIED = re.compile(
    r"\b(401 Unauthorized|403 Forbidden|pull access denied|authentication required|authorization failed"
    r"|unauthorized: |denied: requested access|access forbidden)"
)
_PASSES = re.compile(
    r"\b(429|5\d\d) [A-Z]|toomanyrequests|timeout|deadline exceeded|connection (refused|reset)"
)


def _pull(words: str) -> Cause:
    # more than one attempt may be told: what may pass in any of them may pass
    if _PASSES.search(words):
        return Cause.PULL_FAILS
    if _DENIED.search(words):
        return Cause.PULL_REFUSED
    return Cause.NO_SUCH_IMAGE if _ABSENT.search(words) else Cause.PULL_FAILS


def _config(words: str) -> Cause:
    # kubelet, pkg/kubelet/kuberuntime/security_context.go and kubelet_pods.go
    if words.startswith("container has runAsNonRoot and image "):
        return Cause.FORBIDDEN_USER
    if _MISSING.search(words):
        return Cause.MISSING
    return Cause.CONFIG_UNREAD if _UNREAD.search(words) else Cause.CONFIG_WRONG


_MISSING = re.compile(
    r'\b(secret|configmap|serviceaccount) "" not found$|^couldn\'t find key \S+ in (Secret|ConfigMap) \S+$'
    r"|\breferences non-existent (secret|config) key: \S+$"
)
_UNREAD = re.compile(
    r"^failed to sync (secret|configmap) cache: |^services have not yet been read|timed out waiting for"
)
_RUNTIME = re.compile(
    r"context deadline exceeded$|^failed to reserve container name |\bno space left on device$"
    r"|\b(transport is closing|ttrpc: closed|connection refused)$"
)


def _create(words: str) -> Cause:
    return Cause.RUNTIME_FAILS if _RUNTIME.search(words) else Cause.CANNOT_START


# reasons of a waiting container (kubelet, pkg/kubelet/images/types.go, pkg/kubelet/kuberuntime/kuberuntime_container.go)
_OF_REASON = {
    "ErrImagePull": _pull,
    "ImagePullBackOff": _pull,
    "RegistryUnavailable": lambda words: Cause.PULL_FAILS,
    "ImageInspectError": lambda words: Cause.RUNTIME_FAILS,
    "ErrImageNeverPull": lambda words: Cause.CANNOT_START,
    "SignatureValidationFailed": lambda words: Cause.PULL_REFUSED,
    "InvalidImageName": lambda words: Cause.INVALID_IMAGE_NAME,
    "CreateContainerConfigError": _config,
    "CreateContainerError": _create,
    "RunContainerError": _create,
    "PreCreateHookError": _create,
    "PreStartHookError": _create,
    "PostStartHookError": _create,
}

_OF_EVENT = {
    "FailedMount": Cause.VOLUME_FAILS,
    "FailedAttachVolume": Cause.VOLUME_FAILS,
    "FailedMapVolume": Cause.VOLUME_FAILS,
    "FailedCreatePodSandBox": Cause.SANDBOX_FAILS,
    "NetworkNotReady": Cause.SANDBOX_FAILS,
    "NodeNotReady": Cause.NODE_LOST,
    "Unhealthy": Cause.NOT_READY,
}


def _from_events(pod: Any, events: Sequence[Any]) -> _Found | None:
    """Give what a pod's newest event says: an older one may have passed."""
    newest = max(events, key=_when, default=None)
    # not those of init containers: while one works, nothing is asked whether it is ready
    is_made = any(one.state and one.state.running for one in pod.status.container_statuses or [])
    if newest is not None and newest.reason in _OF_EVENT:
        cause, words = _OF_EVENT[newest.reason], newest.message or ""
        if cause is Cause.VOLUME_FAILS and _MISSING.search(re.sub(r'"[^"]*"', '""', words)):
            cause = Cause.MISSING
        said = words if newest.reason == "Unhealthy" else f"{newest.reason}: {words}"
        return cause, said.rstrip(": "), None
    if newest is not None and newest.reason == "BackOff" and not is_made:
        # a kubelet that does not repeat the last pull's words in the container's status
        failed = max((one for one in events if one.reason == "Failed"), key=_when, default=None)
        if failed is not None:
            return _pull(_own_words(failed.message or "", None)), f"ImagePullBackOff: {failed.message}", None
    return (Cause.NOT_READY, "its readiness probe has not succeeded yet", None) if is_made else None


def _when(event: Any) -> tuple[datetime, int]:
    at = event.last_timestamp or event.event_time or event.metadata.creation_timestamp
    version = event.metadata.resource_version or ""
    return at or datetime.min.replace(tzinfo=UTC), int(version) if version.isdigit() else 0


def of_creation(message: str, *, age_s: float, settle_s: float) -> Obstacle:
    """Give why a ReplicaSet cannot make its pods, from what the API server answers it.

    :param age_s: seconds since it could not for the first time.
    """
    cause = _creation(message)
    return Obstacle(cause, message, None, cause.whose, _is_final(cause, age_s >= settle_s))


# apiserver admission (resourcequota, limitranger, PodSecurity, webhooks, ValidatingAdmissionPolicy, serviceaccount)
_QUOTA = re.compile(r"is forbidden: exceeded quota: (\S+), requested: (.*), used: (.*), limited: (.*)$")
_REFUSALS = re.compile(
    r"is forbidden: (violates PodSecurity |failed quota: \S+ must specify|ValidatingAdmissionPolicy |\[?(maximum|minimum) )"
    r'|^admission webhook "[^"]*" denied the request|^Pod "[^"]*" is invalid: '
)
_ACCOUNT = re.compile(
    r'is forbidden: error looking up service account \S+: serviceaccount "[^"]*" not found$'
)


def _creation(message: str) -> Cause:
    if quota := _QUOTA.search(message):
        return Cause.NEVER_FITS if _never_fits(quota[2], quota[4]) else Cause.QUOTA_USED
    if _ACCOUNT.search(message):
        return Cause.MISSING
    return Cause.REFUSED if _REFUSALS.search(message) else Cause.NOT_CREATED


def _never_fits(requested: str, limited: str) -> bool:
    """Tell whether a pod alone asks for more than the whole quota: nothing that ends makes room for it."""
    from kubernetes.utils.quantity import parse_quantity

    def amounts(text: str) -> dict[str, Any]:
        return {
            name: parse_quantity(amount)
            for name, _, amount in (one.partition("=") for one in text.split(","))
        }

    try:
        most = amounts(limited)
        return any(amount > most[name] for name, amount in amounts(requested).items() if name in most)
    except ValueError:
        return False


def of_end(pod: Any) -> Obstacle | None:
    """Give why the cluster itself ended a pod; None if it came to its end of its own.

    The condition DisruptionTarget says that it was not the pod's doing: preempted, drained, its node short of something or
    shut down. An eviction without it is for a limit that the pod itself went over (kubelet, pkg/kubelet/eviction).
    """
    if pod.status.phase != "Failed":
        return None
    reason, words = pod.status.reason or "", pod.status.message or "it is not said why"
    for condition in pod.status.conditions or []:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            said = condition.message or words
            text = f"{reason or condition.reason}: {said}"
            return Obstacle(Cause.DISRUPTED, text, pod.metadata.name, Cause.DISRUPTED.whose, False)
    if reason == "Evicted":
        return Obstacle(
            Cause.OVER_LIMIT, f"Evicted: {words}", pod.metadata.name, Cause.OVER_LIMIT.whose, False
        )
    if reason in (
        "NodeLost",
        "NodeShutdown",
        "Terminated",
        "NodeAffinity",
        "Preempting",
        "UnexpectedAdmissionError",
    ):
        return Obstacle(
            Cause.DISRUPTED, f"{reason}: {words}", pod.metadata.name, Cause.DISRUPTED.whose, False
        )
    return None
