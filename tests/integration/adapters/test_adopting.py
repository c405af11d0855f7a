"""What kubectl or Helm made is taken over, and manifests are read as the API server reads them."""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from kubernetes import client, config
from slipway import strict_yaml
from slipway.adapters import cluster
from slipway.errors import PolicyFailed
from slipway.release import manifests
from slipway_sandbox.part import Part, Sandbox

NAMESPACE, SERVICE = "ai-generation", "adopting-test"
CLIENT_SIDE = "kubectl-client-side-apply"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
OLD, NEW = (f"registry.example/app@sha256:{digit * 64}" for digit in "ab")


@pytest.fixture(scope="module")
def api(sandbox: Sandbox, parts: dict[str, Part]) -> client.ApiClient:
    """Gives a client with Slipway's own identity."""
    return config.new_client_from_config(str(sandbox.layout.credentials / "slipway.kubeconfig"))


@pytest.fixture(scope="module")
def apps(sandbox: Sandbox, parts: dict[str, Part]) -> client.AppsV1Api:
    """Gives the API of Deployments with the rights of whoever was there before."""
    return client.AppsV1Api(config.new_client_from_config(str(sandbox.admin_kubeconfig)))


@pytest.fixture
def name(apps: client.AppsV1Api) -> Iterator[str]:
    """Gives the name of a Deployment, which is removed again."""
    made = f"test-{secrets.token_hex(4)}"
    yield made
    try:
        apps.delete_namespaced_deployment(made, NAMESPACE, propagation_policy="Background")
    except client.ApiException as e:
        if e.status != 404:
            raise


def deployment(name: str, image: str) -> dict[str, Any]:
    """Give what the old manifest says, and the new one, too. No pod is made: fields are what it is about."""
    container = {
        "name": "app",
        "image": image,
        "ports": [{"name": "http", "containerPort": 8000}],
        "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}},
    }
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": dict(labels)},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": dict(labels)},
                "spec": {"automountServiceAccountToken": False, "containers": [container]},
            },
        },
    }


def before(apps: client.AppsV1Api, name: str, manager: str) -> None:
    """Make the Deployment as kubectl or Helm does: a plain POST under its name, with its marks."""
    made = deployment(name, OLD)
    made["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = (
        7  # which the new manifests do not say
    )
    if manager == "helm":
        made["metadata"]["labels"] |= {"app.kubernetes.io/managed-by": "Helm"}
        made["metadata"]["annotations"] = {
            "meta.helm.sh/release-name": "old",
            "meta.helm.sh/release-namespace": NAMESPACE,
        }
    else:
        made["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(made)}
    apps.create_namespaced_deployment(NAMESPACE, made, field_manager=manager)


def wanted(name: str) -> list[dict[str, Any]]:
    return manifests.release_of(
        [deployment(name, "app")],
        deployment=name,
        container="app",
        image=NEW,
        commit="c" * 40,
        service=SERVICE,
    )


@pytest.mark.parametrize("manager", [CLIENT_SIDE, "helm"])
def test_what_was_there_before_is_refused_then_taken_over_then_released(
    api: client.ApiClient, apps: client.AppsV1Api, name: str, manager: str
) -> None:
    before(apps, name, manager)
    apps.patch_namespaced_deployment_scale(
        name, NAMESPACE, {"spec": {"replicas": 0}}, field_manager="kubectl"
    )
    with pytest.raises(PolicyFailed, match=rf"belongs to field manager {manager}") as refused:
        cluster.difference(api, wanted(name))
    assert f"`slipway adopt {SERVICE}`" in refused.value.remedy
    template = apps.read_namespaced_deployment(name, NAMESPACE).spec.template.to_dict()

    (found,) = cluster.adoptable(api, [deployment(name, "app")], service=SERVICE)
    assert found.managers[0][0] == manager
    assert found.helm == ("old" if manager == "helm" else None)
    assert cluster.adopt(api, [deployment(name, "app")], service=SERVICE) == [
        f"Deployment/{name}: taken over"
    ]
    assert cluster.adopt(api, [deployment(name, "app")], service=SERVICE) == [
        f"Deployment/{name}: nothing to take over"
    ]
    live = apps.read_namespaced_deployment(name, NAMESPACE)
    assert live.spec.template.to_dict() == template  # no pod is replaced
    owners = {
        (one.manager, one.operation) for one in live.metadata.managed_fields if one.subresource != "status"
    }
    assert owners == {("slipway", "Apply")}

    # the plan has no conflict, and shows what goes with the old tool
    (planned,) = cluster.difference(api, wanted(name))
    assert planned.owners == ()
    assert "-      terminationGracePeriodSeconds: 7" in planned.lines
    assert cluster.apply(api, wanted(name)) == [f"Deployment/{name}: changed"]
    live = apps.read_namespaced_deployment(name, NAMESPACE)
    assert live.spec.template.spec.termination_grace_period_seconds == 30
    assert live.spec.template.spec.containers[0].image == NEW
    assert live.metadata.labels["app.kubernetes.io/managed-by"] == "slipway"
    notes = live.metadata.annotations or {}
    assert not [one for one in notes if one == LAST_APPLIED or one.startswith("meta.helm.sh")]
    # another service's manifests do not get it
    with pytest.raises(PolicyFailed, match=rf"is of service {SERVICE}, not of other"):
        cluster.adopt(api, [deployment(name, "app")], service="other")


def test_the_fields_of_a_program_are_taken_only_if_it_is_named(
    api: client.ApiClient, apps: client.AppsV1Api, name: str
) -> None:
    before(apps, name, "argocd-controller")
    with pytest.raises(PolicyFailed) as refused:
        cluster.difference(api, wanted(name))
    assert f"`slipway adopt {SERVICE} --manager argocd-controller`" in refused.value.remedy
    old = [deployment(name, "app")]
    assert cluster.adopt(api, old, service=SERVICE) == [f"Deployment/{name}: nothing to take over"]
    cluster.adopt(api, old, service=SERVICE, managers=["argocd-controller"])
    assert cluster.difference(api, wanted(name))[0].owners == ()


def test_an_image_that_was_set_by_hand_is_taken_back(
    api: client.ApiClient, apps: client.AppsV1Api, name: str
) -> None:
    cluster.apply(api, wanted(name))
    image = {"spec": {"template": {"spec": {"containers": [{"name": "app", "image": OLD}]}}}}
    apps.patch_namespaced_deployment(name, NAMESPACE, image, field_manager="kubectl-set")
    with pytest.raises(PolicyFailed, match="belongs to field manager kubectl-set"):
        cluster.difference(api, wanted(name))
    cluster.adopt(api, [deployment(name, "app")], service=SERVICE)
    assert cluster.apply(api, wanted(name)) == [f"Deployment/{name}: changed"]


def test_unknown_fields_are_refused_by_name(api: client.ApiClient, name: str) -> None:
    misspelt = copy.deepcopy(wanted(name))
    misspelt[0]["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {"tcpSocket": {"port": 1}}
    with pytest.raises(PolicyFailed, match=r"\.readynessProbe: field not declared in schema"):
        cluster.difference(api, misspelt)


@pytest.mark.parametrize(
    "scalar",
    [
        "0644",
        "0o644",
        "22:22",
        "2026-11-24",
        "2026-13-45",
        "1_000",
        "1e3",
        "0x1F",
        "=",
        "1.10",
        "true",
        "1.2.3",
        "'yes'",
    ],
)
def test_a_scalar_is_what_the_api_server_takes_it_for(api: client.ApiClient, name: str, scalar: str) -> None:
    head = f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{a: {scalar}}}}}"
    headers: dict[str, str] = {}
    api.update_params_for_auth(headers, [], ["BearerToken"])
    said = api.rest_client.pool_manager.request(
        "PATCH",
        f"{api.configuration.host}/api/v1/namespaces/{NAMESPACE}/configmaps/{name}?fieldManager=t&dryRun=All",
        headers={**headers, "Content-Type": "application/apply-patch+yaml", "Accept": "application/json"},
        body=head.encode(),
    )
    answer = json.loads(said.data)
    (document,) = strict_yaml.documents(head.encode(), strict_yaml.MANIFEST)
    ours = document.value["data"]["a"]
    if isinstance(ours, str):
        assert answer["data"]["a"] == ours
    else:
        assert f"got &value.valueUnstructured{{Value:{json.dumps(ours)}}}" in answer["message"]
