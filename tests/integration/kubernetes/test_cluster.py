"""The sandbox's cluster does what stages rely on: rollouts, names in pods, and no way off the machine."""

import json
import os
import secrets
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest

from kubernetes import client, config, watch

STATE = Path(os.environ.get("SLIPWAY_STATE") or Path.home() / ".local/state/slipway/sandbox")
PAUSE = "singlenode.local/pause:1"  # up.sh puts it on the node: no pull
NODE = "10.200.0.1"
ABROAD = "198.51.100.1"  # RFC 5737: nobody has it, so only this machine can be the one that refuses
PROBE = f"""
import json, socket
def told(call, *arguments, **options):
    try:
        return call(*arguments, **options)
    except OSError as error:
        return type(error).__name__ + " " + str(error.errno)
print(json.dumps({{
    "postgres": told(socket.gethostbyname, "postgres.slipway.test"),
    "api": told(socket.gethostbyname, "kubernetes.default.svc"),
    "unknown": told(socket.gethostbyname, "www.example.org"),
    "abroad": str(told(socket.create_connection, ("{ABROAD}", 80), timeout=5)),
}}))
"""


@pytest.fixture(scope="module")
def api() -> client.ApiClient:
    return config.new_client_from_config(config_file=str(STATE / "kubernetes/kubeconfig"))


@pytest.fixture(scope="module")
def namespace(api: client.ApiClient) -> Iterator[str]:
    core = client.CoreV1Api(api)
    name = f"test-cluster-{secrets.token_hex(4)}"
    core.create_namespace(client.V1Namespace(metadata=client.V1ObjectMeta(name=name)))
    yield name
    core.delete_namespace(name, grace_period_seconds=1)


@pytest.fixture(scope="module")
def image(api: client.ApiClient, namespace: str) -> str:
    """Python as the services get it: by digest, from the sandbox's registry, with its pull account."""
    reference: str = json.loads((STATE / "images.json").read_text())["base-python"]
    password = (STATE / "credentials/registry-pull").read_text().strip()
    login = {reference.split("/")[0]: {"auth": b64encode(f"pull:{password}".encode()).decode()}}
    secret = client.V1Secret(
        metadata=client.V1ObjectMeta(name="registry-pull"),
        type="kubernetes.io/dockerconfigjson",
        string_data={".dockerconfigjson": json.dumps({"auths": login})},
    )
    client.CoreV1Api(api).create_namespaced_secret(namespace, secret)
    return reference


def rejected_packets() -> int:
    """How many packets of pods that would have left the machine were rejected so far."""
    listing = subprocess.run(
        ["iptables", "-w", "-nvxL", "K8SN-EGRESS"], check=True, capture_output=True, text=True, timeout=10
    ).stdout
    return sum(int(line.split()[0]) for line in listing.splitlines() if " REJECT " in line)


def test_a_deployment_becomes_available(api: client.ApiClient, namespace: str) -> None:
    labels = {"app": "idle"}
    spec = client.V1PodSpec(
        containers=[client.V1Container(name="idle", image=PAUSE)], termination_grace_period_seconds=1
    )
    deployment = client.V1Deployment(
        metadata=client.V1ObjectMeta(name="idle"),
        spec=client.V1DeploymentSpec(
            replicas=2,
            selector=client.V1LabelSelector(match_labels=labels),
            template=client.V1PodTemplateSpec(metadata=client.V1ObjectMeta(labels=labels), spec=spec),
        ),
    )
    apps = client.AppsV1Api(api)
    apps.create_namespaced_deployment(namespace, deployment)
    events = watch.Watch().stream(apps.list_namespaced_deployment, namespace, timeout_seconds=30)
    assert any(event["object"].status.available_replicas == 2 for event in events), "not available in 30 s"


def test_a_pod_resolves_the_sandbox_and_cannot_leave_the_machine(
    api: client.ApiClient, namespace: str, image: str
) -> None:
    core, before = client.CoreV1Api(api), rejected_packets()
    pod = client.V1Pod(
        metadata=client.V1ObjectMeta(name="probe"),
        spec=client.V1PodSpec(
            restart_policy="Never",
            image_pull_secrets=[client.V1LocalObjectReference(name="registry-pull")],
            containers=[client.V1Container(name="probe", image=image, command=["python3", "-c", PROBE])],
        ),
    )
    core.create_namespaced_pod(namespace, pod)
    last = None
    for event in watch.Watch().stream(
        core.list_namespaced_pod, namespace, field_selector="metadata.name=probe", timeout_seconds=60
    ):
        last = event["object"].status
        if last.phase in ("Succeeded", "Failed"):
            break
    assert last is not None
    assert last.phase == "Succeeded", last
    # not parsed by the client, which would turn the JSON into a Python literal
    said = json.loads(core.read_namespaced_pod_log("probe", namespace, _preload_content=False).data)
    assert said["postgres"] == NODE
    assert said["api"] == "10.96.0.1"
    assert said["unknown"].startswith("gaierror")
    assert said["abroad"] == "OSError 101", "ENETUNREACH is what the reject rule answers"
    assert rejected_packets() > before
