"""What the end of a pod says of the service."""

from __future__ import annotations

import base64
import json
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowException
from kubernetes.client import ApiClient

from slipway.catalog import catalog_directory, load_service
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.stages import pod_run
from slipway.stages.image import PUSHED
from slipway.stages.pod import ReleasePod
from slipway.stages.pod_run import RunningPod, told, verdict

LINES = ["smoke test of http://x", "FAILED version: found 200"]


def ended(code: int, reason: str = "Error", message: str | None = None) -> dict[str, Any]:
    return {"exit_code": code, "reason": reason, "message": message}


@pytest.mark.parametrize("is_service", [True, False])
def test_1_is_the_services_fault_and_says_why(is_service: bool) -> None:
    error = verdict("verify.smoke", ended(1), LINES, is_service=is_service)
    assert isinstance(error, PolicyFailed)
    assert error.message == "verify.smoke failed: FAILED version: found 200"


def test_any_other_end_is_the_services_fault_only_if_it_is_its_own_image() -> None:
    assert isinstance(verdict("verify.smoke", ended(2), LINES, is_service=True), PolicyFailed)
    error = verdict("deploy.pending", ended(3), LINES, is_service=False)
    assert isinstance(error, Transient)
    assert "clear the task" in error.remedy


def test_a_command_that_cannot_be_started_speaks_with_the_runtimes_words() -> None:
    told = "failed to create containerd task:\nexec: /opt/venv/bin/python: no such file or directory"
    error = verdict("verify.smoke", ended(128, "StartError", told), [], is_service=True)
    assert isinstance(error, PolicyFailed)
    assert str(error) == (
        "verify.smoke ended with exit code 128 (StartError): exec: /opt/venv/bin/python: no such file or directory"
    )


def test_too_much_memory_is_the_services_fault() -> None:
    error = verdict("deploy.migrate", ended(137, "OOMKilled"), [], is_service=False)
    assert isinstance(error, PolicyFailed)
    assert "more memory" in error.message


def test_a_pod_that_has_not_ended_is_no_verdict() -> None:
    assert verdict("verify.smoke", None, LINES, is_service=True) is None


def test_a_toolbox_tells_why_and_which_statement() -> None:
    said = json.dumps(
        {"error": "c4 failed: column exists", "statement": "alter table t add c int", "applied": []}
    )
    error = verdict("deploy.migrate", ended(1, message=said), LINES, is_service=False)
    assert isinstance(error, PolicyFailed)
    assert error.message == "deploy.migrate failed: c4 failed: column exists"
    assert error.lines[0] == "statement: alter table t add c int"


def test_what_is_told_may_be_compressed_and_may_be_nothing() -> None:
    packed = base64.b64encode(zlib.compress(b'{"pending": []}')).decode()
    assert told(f"z:{packed}") == {"pending": []}
    assert told('{"a": 1}') == {"a": 1}
    for nothing in (None, "", "z:", "z:%%%", "z:AAAA", "Killed", "{"):
        assert told(nothing) is None


SERVICE = load_service(catalog_directory() / "ai-generation.yaml")
UNSCHEDULED = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}


def task() -> RunningPod:
    with DAG("test_pod", schedule=None):
        declared = ReleasePod(task_id="smoke", service=SERVICE, image=PUSHED, command=["true"], timeout_s=120)
    return RunningPod(declared=declared)


def seen(phase: str, *, container: dict[str, Any] | None = None, **status: Any) -> Any:
    """Give a pod as the client reads it from the API server's JSON."""
    statuses = (
        [{"name": "base", "image": "i", "imageID": "", "ready": False, "restartCount": 0, "state": container}]
        if container
        else []
    )
    content = {
        "metadata": {"name": "p", "namespace": "n", "uid": "u"},
        "spec": {"containers": []},
        "status": {"phase": phase, "containerStatuses": statuses, **status},
    }
    return ApiClient()._ApiClient__deserialize(content, "V1Pod")  # type: ignore[attr-defined]


class Looks:
    """A cluster in which the pod is seen like this, one look after the other, a minute apart."""

    def __init__(self, *pods: Any) -> None:
        self.pods, self.now = list(pods), 0.0

    def read_pod(self, _: Any) -> Any:
        self.now += 60
        return self.pods.pop(0) if len(self.pods) > 1 else self.pods[0]


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Gives what waits for the start of a pod that is seen like this."""

    def wait(*pods: Any) -> RunningPod:
        made, looks = task(), Looks(*pods)
        monkeypatch.setattr(RunningPod, "pod_manager", looks)
        monkeypatch.setattr("slipway.stages.pod_run.connections.cluster", lambda: None)
        monkeypatch.setattr(
            "slipway.stages.pod_run.time", SimpleNamespace(monotonic=lambda: looks.now, sleep=lambda _: None)
        )
        made.await_pod_start(pods[0])
        return made

    return wait


def test_pod_without_a_node_is_waited_for_as_long_as_a_rollout_and_told(
    waits: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    full = seen("Pending", conditions=[UNSCHEDULED])
    waits(full, full, seen("Running"))
    assert capsys.readouterr().out == "waiting: Unschedulable: 0/3 nodes (pod p)\n"
    with pytest.raises(
        Permanent, match=r"^smoke: pod p has not started after 180 s: Unschedulable: 0/3 nodes"
    ):
        waits(full)


def test_pod_whose_image_is_not_there_is_not_waited_for(waits: Any) -> None:
    absent = seen(
        "Pending", container={"waiting": {"reason": "ErrImagePull", "message": "r/a@sha256:0: not found"}}
    )
    with pytest.raises(Transient, match=r"^smoke: pod p does not start: ErrImagePull: "):
        waits(absent)
    busy = {"waiting": {"reason": "ErrImagePull", "message": "unexpected status: 503 Service Unavailable"}}
    waits(seen("Pending", container=busy), seen("Running"))


def failure(pod: Any) -> Exception:
    made = task()
    made.remote_pod = pod
    return made._failure(AirflowException("it failed"))


def test_time_that_went_by_before_the_container_ran_is_not_the_services() -> None:
    late = {"reason": "DeadlineExceeded"}
    began = {"terminated": {"exitCode": 143, "startedAt": "2026-01-02T03:04:05Z"}}
    never = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}
    assert isinstance(failure(seen("Failed", container=began, **late)), PolicyFailed)
    for container in (never, {"waiting": {"reason": "ImagePullBackOff"}}, None):
        error = failure(seen("Failed", container=container, **late))
        assert isinstance(error, Permanent)
        assert str(error).startswith("smoke: pod p has not started after 120 s: ")


def test_pod_that_the_cluster_ends_is_not_the_services_fault_unless_it_went_over_its_limit() -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "Error", "startedAt": "2026-01-02T03:04:05Z"}}
    target = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "m"}
    assert isinstance(failure(seen("Failed", container=killed)), PolicyFailed)  # its own end
    preempted = failure(seen("Failed", container=killed, conditions=[target]))
    assert isinstance(preempted, Transient)
    assert preempted.message == "smoke: the pod was ended by the cluster: PreemptionByScheduler: m"
    over = failure(
        seen("Failed", container=killed, reason="Evicted", message='volume "tmp" exceeds the limit')
    )
    assert isinstance(over, PolicyFailed)


@pytest.mark.parametrize(
    "words", ["Transient", "exit code 3", "NOT EVALUATED smoke: away", "Evicted: DeadlineExceeded"]
)
@pytest.mark.parametrize("code", [2, 3, 124, 137, 143])
def test_no_words_and_no_exit_code_of_the_services_own_pod_make_it_a_fault_of_the_platform(
    code: int, words: str
) -> None:
    for message in (words, json.dumps({"error": words, "outcome": "passed"})):
        error = verdict("verify.smoke", ended(code, message=message), [words], is_service=True)
        assert isinstance(error, PolicyFailed)


def test_end_of_a_pod_is_seen_in_a_fraction_of_the_operators_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    phases, slept = iter(["Running", "Running", "Succeeded", "Failed"]), list[float]()

    class Manager:
        def read_pod(self, _pod: Any) -> Any:
            return SimpleNamespace(status=SimpleNamespace(phase=next(phases)))

    monkeypatch.setattr(pod_run.KubernetesPodOperator, "await_pod_completion", lambda *_: None)
    monkeypatch.setattr(pod_run.time, "sleep", slept.append)
    pod = pod_run.RunningPod.__new__(pod_run.RunningPod)
    pod.__dict__["pod_manager"] = Manager()
    pod.await_pod_completion(None)
    assert len(slept) == 2
    assert sum(slept) < 1
    assert next(phases) == "Failed", "nothing is asked once it has ended"
