"""Which of the cluster's words are final, whose fault they are, and that no order and no leftover changes the verdict."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.client import (
    ApiClient,
    V1ContainerState,
    V1ContainerStateRunning,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
)

from slipway.adapters.cluster import Cause, Rollout
from slipway.adapters.cluster.obstacles import Ends, Obstacle, Whose, of_creation, of_end, of_pod, worst
from slipway.adapters.cluster.rollouts import judged
from slipway.errors import Permanent, PolicyFailed, SlipwayError

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
DIGEST, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
IMAGE = f"registry:5000/shop@{OTHER}"
SETTLE_S = 30.0


def read(kind: str, content: dict[str, Any]) -> Any:
    """Give an object as the client reads it from the API server's JSON."""
    return ApiClient()._ApiClient__deserialize(content, kind)  # type: ignore[attr-defined]


def status(restarts: int, now: Any = None, before: Any = None, image: str = IMAGE) -> V1ContainerStatus:
    def state(one: Any) -> V1ContainerState:
        kind = {V1ContainerStateWaiting: "waiting", V1ContainerStateTerminated: "terminated"}.get(type(one))
        return V1ContainerState(**{kind or "running": one or V1ContainerStateRunning()})

    return V1ContainerStatus(
        name="app",
        image=image,
        image_id=image,
        ready=False,
        restart_count=restarts,
        state=state(now),
        last_state=state(before),
    )


def waiting(reason: str, message: str | None = "why") -> V1ContainerStateWaiting:
    return V1ContainerStateWaiting(reason=reason, message=message)


def ended(code: int, ran_s: float | None = None) -> V1ContainerStateTerminated:
    span = {} if ran_s is None else {"started_at": NOW - timedelta(seconds=ran_s), "finished_at": NOW}
    return V1ContainerStateTerminated(exit_code=code, **span)


def pod(
    name: str = "shop-1",
    *containers: V1ContainerStatus,
    owner: str = "set-new",
    age_s: float = 1,
    phase: str = "Pending",
    ready: bool = False,
    gone: bool = False,
    conditions: tuple[dict[str, Any], ...] = (),
    **more: Any,
) -> Any:
    began = (NOW - timedelta(seconds=age_s)).isoformat()
    made = read(
        "V1Pod",
        {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": f"uid-{name}",
                "creationTimestamp": began,
                **({"deletionTimestamp": began} if gone else {}),
                "ownerReferences": [
                    {"uid": owner, "kind": "ReplicaSet", "name": owner, "apiVersion": "apps/v1"}
                ],
            },
            "spec": {"nodeName": "node-1", "containers": [{"name": "app"}]},
            "status": {
                "phase": phase,
                "startTime": began,
                "conditions": [{"type": "Ready", "status": str(ready)}, *conditions],
                **more,
            },
        },
    )
    made.status.container_statuses = list(containers)
    return made


def event(reason: str, message: str, at_s: float = 0, version: int = 1) -> Any:
    return read(
        "CoreV1Event",
        {
            "reason": reason,
            "message": message,
            "involvedObject": {},
            "lastTimestamp": (NOW + timedelta(seconds=at_s)).isoformat(),
            "metadata": {"name": "e", "resourceVersion": str(version)},
        },
    )


def found(one: Any, *events: Any, ours: str | None = None) -> Obstacle | None:
    return of_pod(one, events, settle_s=SETTLE_S, ours=ours, now=NOW)


@pytest.mark.parametrize(
    "may_run",
    [
        status(3, None, ended(1)),  # it runs now
        status(0, waiting("ContainerCreating")),
        status(1, ended(0)),
    ],
)
def test_what_starts_is_kept_by_nothing(may_run: V1ContainerStatus) -> None:
    assert found(pod("p", may_run, ready=True)) is None


@pytest.mark.parametrize(
    "once",
    [
        status(0, ended(1)),
        status(0, waiting("CrashLoopBackOff"), ended(1)),
        status(7, ended(1, ran_s=700)),  # it ran well for long: not the crash of its start again
    ],
)
def test_one_crash_may_be_chance_and_is_waited_for(once: V1ContainerStatus) -> None:
    one = found(pod("p", once))
    assert one is not None
    assert (one.cause, one.is_final, one.text) == (
        Cause.CRASHED,
        False,
        "app crashed with exit code 1, and is started again",
    )


@pytest.mark.parametrize(
    "looping",
    [status(1, ended(3)), status(1, waiting("CrashLoopBackOff"), ended(3)), status(1, ended(3, ran_s=5))],
)
def test_second_crash_is_a_loop_whether_the_kubelet_calls_it_so_yet_or_not(
    looping: V1ContainerStatus,
) -> None:
    one = found(pod("p", looping))
    assert one is not None
    assert (one.text, one.is_final) == (
        "CrashLoopBackOff: app crashed 2 times, at last with exit code 3",
        True,
    )


REF = "10.200.0.1:15000/slipway/base-python@sha256:" + "0" * 64
RPC = f'failed to pull and unpack image "{REF}": failed to resolve image: '
# as the kubelet of Kubernetes 1.36 with containerd tells them, and as CRI-O and other registries do
PULLS = [
    (f"rpc error: code = NotFound desc = {RPC}{REF}: not found", Cause.NO_SUCH_IMAGE),
    (f'Back-off pulling image "{REF}": ErrImagePull: rpc error: code = NotFound desc = {REF}: not found', Cause.NO_SUCH_IMAGE),
    ("rpc error: code = Unknown desc = reading manifest v2 in quay.io/a/b: manifest unknown", Cause.NO_SUCH_IMAGE),
    (
        "failed to resolve reference: pull access denied, repository does not exist or may require authorization: "
        "server message: insufficient_scope: authorization failed",
        Cause.PULL_REFUSED,
    ),
    (f"{RPC}unexpected status from HEAD request to https://r/v2/a/manifests/x: 401 Unauthorized", Cause.PULL_REFUSED),
    (f"{RPC}unexpected status from HEAD request to https://r/v2/a/manifests/x: 403 Forbidden", Cause.PULL_REFUSED),
    (f"{RPC}unexpected status from HEAD request to https://r/v2/a/manifests/x: 503 Service Unavailable", Cause.PULL_FAILS),
    (f"{RPC}unexpected status from HEAD request to https://r/v2/a/manifests/x: 429 Too Many Requests", Cause.PULL_FAILS),
    (f"{RPC}failed to do request: Head \"https://r/v2/a\": dial tcp 10.0.0.1:443: connect: connection refused", Cause.PULL_FAILS),
    (f"{RPC}failed to do request: Head \"https://r/v2/a\": dial tcp 10.0.0.1:443: i/o timeout", Cause.PULL_FAILS),
    ("rpc error: code = DeadlineExceeded desc = context deadline exceeded", Cause.PULL_FAILS),
    ("toomanyrequests: You have reached your pull rate limit. unauthorized: authentication required", Cause.PULL_FAILS),
    (f'Back-off pulling image "{REF}"', Cause.PULL_FAILS),
    ("words of a version to come", Cause.PULL_FAILS),
    ("", Cause.PULL_FAILS),
    # an image may be called as it likes
    ('Back-off pulling image "r/x:manifest unknown": ErrImagePull: EOF', Cause.PULL_FAILS),
    ("failed to resolve r/unauthorized: not-found/denied:401: EOF", Cause.PULL_FAILS),
]  # fmt: skip


@pytest.mark.parametrize(("message", "cause"), PULLS)
@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_pull_ends_a_release_only_by_final_words(reason: str, message: str, cause: Cause) -> None:
    one = found(pod("p", status(0, waiting(reason, message))))
    assert one is not None
    assert (one.cause, one.is_final) == (cause, cause is not Cause.PULL_FAILS)
    assert one.verdict is (Permanent if cause is Cause.PULL_FAILS else PolicyFailed)


def test_image_that_the_release_pushed_itself_is_never_the_services_fault() -> None:
    absent = status(0, waiting("ErrImagePull", PULLS[0][0]), image=f"registry:5000/shop@{DIGEST}")
    ours, others = found(pod("p", absent), ours=DIGEST), found(pod("p", absent), ours=OTHER)
    assert ours is not None
    assert others is not None
    assert (ours.verdict, others.verdict, ours.is_final) == (Permanent, PolicyFailed, True)


CONFIGS = [
    ('secret "shop" not found', Cause.MISSING),
    ('configmap "shop" not found', Cause.MISSING),
    ("couldn't find key url in Secret shop/shop", Cause.MISSING),
    ("couldn't find key url in ConfigMap shop/shop", Cause.MISSING),
    ("failed to sync secret cache: timed out waiting for the condition", Cause.CONFIG_UNREAD),
    ("failed to sync configmap cache: timed out waiting for the condition", Cause.CONFIG_UNREAD),
    ("services have not yet been read at least once, cannot construct envvars", Cause.CONFIG_UNREAD),
    (
        'container has runAsNonRoot and image will run as root (pod: "p", container: app)',
        Cause.FORBIDDEN_USER,
    ),
    # the user's name is the image's own to choose
    (
        "container has runAsNonRoot and image has non-numeric user (failed to sync secret cache: timed out waiting for), "
        "cannot verify user is non-root",
        Cause.FORBIDDEN_USER,
    ),
    ('failed to prepare subPath for volumeMount "a" of container "app"', Cause.CONFIG_WRONG),
]


@pytest.mark.parametrize(("message", "cause"), CONFIGS)
def test_configuration_that_cannot_be_read_is_told_apart_from_one_that_is_not_there(
    message: str, cause: Cause
) -> None:
    early, late = (
        found(pod("p", status(0, waiting("CreateContainerConfigError", message)), age_s=age))
        for age in (1, SETTLE_S + 1)
    )
    assert early is not None
    assert late is not None
    assert (early.cause, late.cause) == (cause, cause)
    final = {Ends.AT_ONCE: (True, True), Ends.SETTLED: (False, True), Ends.IN_TIME: (False, False)}
    assert (early.is_final, late.is_final) == final[cause.ends]


@pytest.mark.parametrize(
    ("reason", "message", "cause"),
    [
        ("CreateContainerError", "context deadline exceeded", Cause.RUNTIME_FAILS),
        ("CreateContainerError", 'failed to reserve container name "app_1": name "app_1" is reserved', Cause.RUNTIME_FAILS),
        ("CreateContainerError", "failed to generate spec: no command specified", Cause.CANNOT_START),
        ("RunContainerError", 'exec: "context deadline exceeded": executable file not found in $PATH', Cause.CANNOT_START),
        ("InvalidImageName", "invalid reference format", Cause.INVALID_IMAGE_NAME),
        ("RegistryUnavailable", None, Cause.PULL_FAILS),
    ],
)  # fmt: skip
def test_runtime_that_is_late_is_no_wrong_command(reason: str, message: str | None, cause: Cause) -> None:
    one = found(pod("p", status(0, waiting(reason, message))))
    assert one is not None
    assert one.cause is cause


UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}


@pytest.mark.parametrize("age_s", [1, 6, 3600])
def test_pod_without_a_node_is_waited_for_however_long(age_s: float) -> None:
    words = "0/3 nodes are available: 3 Insufficient cpu."
    one = found(pod("p", conditions=({**UNSCHEDULED, "message": words},), age_s=age_s))
    assert one is not None
    assert (str(one), one.is_final, one.verdict) == (f"Unschedulable: {words} (pod p)", False, Permanent)


def test_claim_that_is_not_there_is_the_manifests_affair() -> None:
    words = '0/3 nodes are available: persistentvolumeclaim "data" not found.'
    one = found(pod("p", conditions=({**UNSCHEDULED, "message": words},), age_s=SETTLE_S + 1))
    assert one is not None
    assert (one.cause, one.is_final) == (Cause.MISSING, True)


CREATING = status(0, waiting("ContainerCreating", None))
MOUNT = 'MountVolume.SetUp failed for volume "v" : '


@pytest.mark.parametrize(
    ("reason", "message", "cause"),
    [
        ("FailedMount", f'{MOUNT}secret "nothing" not found', Cause.MISSING),
        ("FailedMount", f"{MOUNT}references non-existent secret key: a", Cause.MISSING),
        ("FailedMount", f"{MOUNT}failed to sync secret cache: timed out waiting for the condition", Cause.VOLUME_FAILS),
        ("FailedAttachVolume", 'Multi-Attach error for volume "pvc-1"', Cause.VOLUME_FAILS),
        ("FailedCreatePodSandBox", "failed to setup network for sandbox", Cause.SANDBOX_FAILS),
    ],
)  # fmt: skip
def test_what_comes_before_a_container_is_told_by_the_newest_event(
    reason: str, message: str, cause: Cause
) -> None:
    failed = event(reason, message, 2)
    one = found(pod("p", CREATING), event("Scheduled", "", 1), failed)
    assert one is not None
    assert (one.cause, one.text) == (cause, f"{reason}: {message}")
    assert found(pod("p", CREATING), failed, event("Pulling", "", 2, version=2)) is None  # it has passed


def test_back_off_of_a_kubelet_that_does_not_repeat_the_words_is_read_from_the_events() -> None:
    events = [event("Failed", f"Failed to pull image: {PULLS[0][0]}", 1), event("BackOff", "Back-off", 2)]
    one = found(pod("p", CREATING), *events)
    assert one is not None
    assert (one.cause, one.is_final) == (Cause.NO_SUCH_IMAGE, True)


def test_pod_whose_init_container_works_is_kept_by_nothing() -> None:
    one = pod("p", status(0, waiting("PodInitializing", None)))
    one.status.init_container_statuses = [status(0)]
    assert found(one) is None


def test_node_that_is_gone_is_told_apart_from_a_probe_that_fails() -> None:
    running = status(0)
    probe, lost = (
        event("Unhealthy", "Readiness probe failed: 404", 1),
        event("NodeNotReady", "Node is not ready", 2),
    )
    one, other, silent = (found(pod("p", running), *events) for events in ([probe], [probe, lost], []))
    assert one is not None
    assert other is not None
    assert silent is not None
    assert (one.cause, one.verdict) == (Cause.NOT_READY, PolicyFailed)
    assert one.error().message == "pod p is not ready: Readiness probe failed: 404"
    assert (other.cause, other.verdict) == (Cause.NODE_LOST, Permanent)
    assert silent.cause is Cause.NOT_READY


FORBIDDEN = 'pods "shop-x" is forbidden: '
QUOTA = FORBIDDEN + "exceeded quota: shop, requested: {}, used: requests.cpu=900m, limited: requests.cpu=1"


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (QUOTA.format("requests.cpu=200m"), Cause.QUOTA_USED),
        (QUOTA.format("requests.cpu=1"), Cause.QUOTA_USED),
        (QUOTA.format("requests.cpu=50"), Cause.NEVER_FITS),
        (QUOTA.format("requests.cpu=many"), Cause.QUOTA_USED),
        (FORBIDDEN + 'violates PodSecurity "restricted:latest": host namespaces', Cause.REFUSED),
        (FORBIDDEN + "maximum memory usage per Container is 1Gi, but limit is 2Gi", Cause.REFUSED),
        (FORBIDDEN + "failed quota: shop: must specify limits.cpu for: app", Cause.REFUSED),
        ('admission webhook "check.example.org" denied the request: no', Cause.REFUSED),
        (FORBIDDEN + 'error looking up service account shop/shop: serviceaccount "shop" not found', Cause.MISSING),
        (FORBIDDEN + "status unknown for quota: shop, resources: requests.cpu", Cause.NOT_CREATED),
        ('Internal error occurred: failed calling webhook "check.example.org": connection refused', Cause.NOT_CREATED),
        ("", Cause.NOT_CREATED),
    ],
)  # fmt: skip
def test_pods_that_cannot_be_made_are_judged_by_who_refuses_them(message: str, cause: Cause) -> None:
    one = of_creation(message, age_s=1, settle_s=SETTLE_S)
    assert (one.cause, one.is_final, one.whose) == (cause, cause.ends is Ends.AT_ONCE, cause.whose)
    assert one.error().message == f"pods cannot be created: {message}"
    assert of_creation(message, age_s=31, settle_s=SETTLE_S).is_final == (cause.ends is not Ends.IN_TIME)


def test_end_that_the_cluster_made_is_told_apart_from_the_pods_own() -> None:
    target = (
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "TerminationByKubelet",
            "message": "low on disk",
        },
    )
    over = 'Usage of EmptyDir volume "a" exceeds the limit "1Mi". '
    limit = of_end(pod("p", phase="Failed", reason="Evicted", message=over))
    short = of_end(pod("p", phase="Failed", reason="Evicted", conditions=target))
    drained = of_end(pod("p", phase="Failed", conditions=target))
    assert limit is not None
    assert short is not None
    assert drained is not None
    assert (limit.cause, limit.verdict) == (Cause.OVER_LIMIT, PolicyFailed)
    assert (short.cause, short.text, short.verdict) == (Cause.DISRUPTED, "Evicted: low on disk", Permanent)
    assert drained.text == "TerminationByKubelet: low on disk"
    assert of_end(pod("p", phase="Failed")) is None
    assert of_end(pod("p", phase="Running", conditions=target)) is None


@given(st.permutations(list(Cause)), st.sampled_from(["a", "b"]))
def test_order_in_which_obstacles_are_seen_decides_nothing(causes: list[Cause], name: str) -> None:
    seen = [Obstacle(one, "", name, one.whose, one.ends is Ends.AT_ONCE) for one in causes]
    decides = worst(seen)
    assert decides is not None
    assert decides == worst(reversed(seen))
    assert decides.is_final
    passing = worst(one for one in seen if not one.is_final)
    assert passing is not None
    assert passing.whose is Whose.PLATFORM  # in doubt the commit is left in peace


# --- a whole deployment ---
def deployment(
    replicas: int = 1, *, updated: int = 0, available: int = 0, there: int = 1, stopped: bool = False
) -> Any:
    at = NOW.isoformat()
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded",
                 "message": "timed out progressing", "lastUpdateTime": at}  # fmt: skip
    return read(
        "V1Deployment",
        {
            "metadata": {
                "name": "shop",
                "namespace": "shop",
                "uid": "deployment",
                "generation": 2,
                "annotations": {"deployment.kubernetes.io/revision": "2"},
                "managedFields": [{"manager": "slipway", "time": (NOW - timedelta(minutes=5)).isoformat()}],
            },
            "spec": {"replicas": replicas, "selector": {"matchLabels": {}}, "template": {}},
            "status": {
                "observedGeneration": 2,
                "updatedReplicas": updated,
                "availableReplicas": available,
                "replicas": there,
                **({"conditions": [condition]} if stopped else {}),
            },
        },
    )


def replica_set(name: str, revision: str, owner: str = "deployment", failure: str | None = None) -> Any:
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": failure}] if failure else []
    return read(
        "V1ReplicaSet",
        {
            "metadata": {
                "name": name,
                "uid": name,
                "annotations": {"deployment.kubernetes.io/revision": revision},
                "ownerReferences": [
                    {"uid": owner, "kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}
                ],
            },
            "spec": {"selector": {}},
            "status": {"replicas": 1, "conditions": conditions},
        },
    )


SETS = [replica_set("set-new", "2"), replica_set("set-old", "1"), replica_set("set-other", "2", "another")]


def verdict(seen: Any, pods: list[Any], sets: list[Any] = SETS, events: Any = ()) -> Rollout | SlipwayError:
    try:
        return judged(
            seen, pods, sets, DIGEST, timeout_s=180, events=lambda _: events, words=lambda _: ["last line"]
        )
    except SlipwayError as e:
        return e


GOOD = pod("good", status(0, None, image=f"r/shop@{DIGEST}"), phase="Running", ready=True)
DONE = deployment(updated=1, available=1)
LEFT_OVER = [
    pod("evicted", phase="Failed", reason="Evicted", message="The node was low on resource"),
    pod("crashed", status(9, ended(1)), phase="Failed"),
    pod("finished", status(0, ended(0)), phase="Succeeded", owner="job"),
    pod("going", status(0, image=f"r/shop@{OTHER}"), phase="Running", gone=True),
    pod("old-evicted", phase="Failed", reason="Evicted", owner="set-old"),
    pod("worker", status(5, waiting("CrashLoopBackOff"), ended(1)), owner="set-other", phase="Running"),
    pod("by-hand", status(0, waiting("ErrImagePull", PULLS[0][0])), owner="nobody"),
]


@settings(max_examples=30)
@given(st.lists(st.sampled_from(LEFT_OVER), unique_by=id), st.randoms(use_true_random=False))
def test_pods_that_have_ended_or_are_others_change_no_verdict(left: list[Any], order: random.Random) -> None:
    bad = pod("bad", status(0, waiting("ErrImagePull", PULLS[0][0])))
    for seen, own in ((DONE, GOOD), (deployment(updated=1), bad)):
        pods = [own, *left]
        order.shuffle(pods)
        alone, among = verdict(seen, [own]), verdict(seen, pods)
        if isinstance(alone, Rollout):
            assert isinstance(among, Rollout)
            assert (among.complete, among.pods, among.image_ids) == (True, alone.pods, alone.image_ids)
        else:
            assert str(among) == str(alone)


def test_what_does_not_count_is_told() -> None:
    told = verdict(DONE, [GOOD, *LEFT_OVER])
    assert isinstance(told, Rollout)
    assert told.message == (
        f"1 pods run {DIGEST}; not counted: 3 that ended (crashed, evicted, old-evicted); "
        "not counted: 3 of others, which the selector fits, too (by-hand, finished, worker)"
    )


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_order_of_events_changes_no_verdict(order: tuple[int, ...]) -> None:
    events = [
        event("Scheduled", "", 0),
        event("FailedMount", f'{MOUNT}secret "a" not found', 1),
        event("Pulling", "", 2),
    ]
    told = verdict(deployment(updated=1), [pod("p", CREATING)], events=[events[one] for one in order])
    assert isinstance(told, Rollout)
    assert told.obstacle is None


FULL = pod("new", conditions=({**UNSCHEDULED, "message": "0/3 nodes are available"},), age_s=100)


def test_full_cluster_is_waited_for_and_is_the_platforms_when_the_deployments_time_is_over() -> None:
    waits = verdict(deployment(updated=1, available=1, there=2), [FULL])
    assert isinstance(waits, Rollout)
    assert waits.message == (
        "Unschedulable: 0/3 nodes are available (pod new); 1 of 1 updated, 1 available, 2 there"
    )
    over = verdict(deployment(updated=1, available=1, there=2, stopped=True), [FULL])
    assert isinstance(over, Permanent)
    assert over.message == (
        "pod new: Unschedulable: 0/3 nodes are available; "
        "the rollout stopped: ProgressDeadlineExceeded: timed out progressing"
    )
    assert "clear the task" in over.remedy


def test_pods_that_only_are_not_ready_in_time_are_the_services_fault() -> None:
    running = pod("new", status(0, image=f"r/shop@{DIGEST}"), phase="Running")
    over = verdict(deployment(updated=1, stopped=True), [running])
    assert isinstance(over, PolicyFailed)
    assert over.message.startswith("pod new is not ready: its readiness probe has not succeeded yet; ")
    assert over.lines == ("last line",)


def test_pods_that_are_evicted_again_and_again_are_told() -> None:
    for message, conditions, kind in (
        ('Usage of EmptyDir volume "a" exceeds the limit "1Mi"', (), PolicyFailed),
        ("low", ({"type": "DisruptionTarget", "status": "True", "message": "low"},), Permanent),
    ):
        gone = pod("p", phase="Failed", reason="Evicted", message=message, conditions=conditions)
        over = verdict(deployment(updated=1, stopped=True), [gone])
        assert type(over) is kind
        assert f"pod p: Evicted: {message}" in str(over)


def test_pods_that_cannot_be_made_fail_at_once_or_in_time() -> None:
    refused = verdict(
        deployment(), [], [replica_set("set-new", "2", failure=FORBIDDEN + "violates PodSecurity x")]
    )
    assert isinstance(refused, PolicyFailed)
    full = verdict(deployment(), [], [replica_set("set-new", "2", failure=QUOTA.format("requests.cpu=500m"))])
    assert isinstance(full, Rollout)
    assert full.obstacle is not None
    assert full.obstacle.verdict is Permanent
    assert full.message.startswith('pods "shop-x" is forbidden: exceeded quota: shop')
