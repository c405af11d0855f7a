"""Which container will not come to run by waiting."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kubernetes.client import (
    V1ContainerState,
    V1ContainerStateRunning,
    V1ContainerStateTerminated,
    V1ContainerStateWaiting,
    V1ContainerStatus,
)
from kubernetes.client.exceptions import ApiException

from slipway.adapters.cluster import _stuck, explained
from slipway.errors import PolicyFailed, Transient


def status(restarts: int, now: Any = None, before: Any = None) -> V1ContainerStatus:
    def state(one: Any) -> V1ContainerState:
        kind = {V1ContainerStateWaiting: "waiting", V1ContainerStateTerminated: "terminated"}.get(type(one))
        return V1ContainerState(**{kind or "running": one or V1ContainerStateRunning()})

    return V1ContainerStatus(
        name="app",
        image="i",
        image_id="i",
        ready=False,
        restart_count=restarts,
        state=state(now),
        last_state=state(before),
    )


def waiting(reason: str) -> V1ContainerStateWaiting:
    return V1ContainerStateWaiting(reason=reason, message="why")


def ended(code: int) -> V1ContainerStateTerminated:
    return V1ContainerStateTerminated(exit_code=code)


@pytest.mark.parametrize(
    "may_run",
    [
        status(0),
        status(3, None, ended(1)),  # it runs now
        status(0, ended(1)),
        status(0, waiting("CrashLoopBackOff"), ended(1)),  # once may be chance
        status(0, waiting("ContainerCreating")),
        status(1, ended(0)),
    ],
)
def test_what_may_come_to_run_is_waited_for(may_run: V1ContainerStatus) -> None:
    assert _stuck(may_run) is None


@pytest.mark.parametrize("looping", [status(1, ended(3)), status(1, waiting("CrashLoopBackOff"), ended(3))])
def test_second_crash_is_a_loop_whether_the_kubelet_calls_it_so_yet_or_not(
    looping: V1ContainerStatus,
) -> None:
    assert _stuck(looping) == "CrashLoopBackOff: app crashed 2 times, at last with exit code 3"


@pytest.mark.parametrize("reason", ["ImagePullBackOff", "CreateContainerConfigError"])
def test_what_waiting_does_not_mend_is_told(reason: str) -> None:
    assert _stuck(status(0, waiting(reason))) == f"{reason}: why"


@pytest.mark.parametrize(
    ("status_", "said", "kind"),
    [
        (401, "Unauthorized", Transient),
        # what an API server says that has not read its roles yet
        (
            403,
            'secrets is forbidden: User "slipway" cannot delete: RBAC: role "slipway" not found',
            Transient,
        ),
        (403, 'pods "a" is forbidden: exceeded quota: small', PolicyFailed),
        (403, 'pods "a" is forbidden: violates PodSecurity', PolicyFailed),
        (409, "conflict", PolicyFailed),
        (422, "invalid", PolicyFailed),
        (500, "etcdserver: request timed out", Transient),
        (503, "", Transient),
    ],
)
def test_refused_object_is_policy_and_all_else_may_pass(
    status_: int, said: str, kind: type[Exception]
) -> None:
    answer = ApiException(status=status_, reason="reason")
    answer.body = json.dumps({"message": said})
    with pytest.raises(kind, match="doing it"), explained("doing it"):
        raise answer
