"""The cluster, with Slipway's own rights: objects are applied as they are owned, and a rollout's end is told early."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes.stream import stream

from kubernetes import client, config
from slipway.adapters import cluster
from slipway.adapters.cluster import pruning
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.release import manifests
from slipway_sandbox.part import Part, Sandbox

NAMESPACE = "ai-generation"
LABELS = {"slipway-test": "adapters"}
SOON_S = (
    90  # until a verdict: seconds, the kubelet may look once a minute; the own deadline of a rollout is 600
)
NO_DIGEST = f"sha256:{'0' * 64}"


@pytest.fixture(scope="module")
def api(sandbox: Sandbox, parts: dict[str, Part]) -> client.ApiClient:
    """Gives a client with Slipway's own identity."""
    return config.new_client_from_config(str(sandbox.layout.credentials / "slipway.kubeconfig"))


@pytest.fixture(scope="module")
def admin(sandbox: Sandbox, parts: dict[str, Part]) -> client.ApiClient:
    """Gives a client that may do everything."""
    return config.new_client_from_config(str(sandbox.admin_kubeconfig))


@pytest.fixture
def name(admin: client.ApiClient) -> Iterator[str]:
    """Gives a name; the objects of that name in the service's namespace are removed again."""
    made = f"test-{secrets.token_hex(4)}"
    yield made
    core, apps = client.CoreV1Api(admin), client.AppsV1Api(admin)
    for delete in (
        apps.delete_namespaced_deployment,
        core.delete_namespaced_config_map,
        core.delete_namespaced_secret,
    ):
        try:
            delete(made, NAMESPACE, propagation_policy="Background")
        except client.ApiException as e:
            if e.status != 404:
                raise


def config_map(name: str, namespace: str = NAMESPACE, **data: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str, image: str, command: list[str], *, replicas: int = 1) -> dict[str, Any]:
    container = {
        "name": "app",
        "image": image,
        "command": command,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    labels = {**LABELS, "app.kubernetes.io/name": name}
    pod = {
        "containers": [container],
        "imagePullSecrets": [{"name": "registry-pull"}],
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": LABELS},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def followed(api: client.ApiClient, name: str, digest: str, *, timeout_s: float = 60) -> cluster.Rollout:
    """Ask as the sensor does, until the rollout is complete or fails, for SOON_S at most.

    :param timeout_s: the rollout's own time, a part of which is left for what is missing.
    """
    deadline = time.monotonic() + SOON_S
    while True:
        state = cluster.rollout(api, NAMESPACE, name, digest, timeout_s=timeout_s)
        if state.complete:
            return state
        assert time.monotonic() < deadline, f"no verdict within {SOON_S} s: {state}"
        time.sleep(0.5)


def test_applied_object_is_created_then_unchanged_then_changed(api: client.ApiClient, name: str) -> None:
    title = f"ConfigMap/{name}"
    assert cluster.apply(api, [config_map(name, a="1")]) == [f"{title}: created"]
    assert cluster.apply(api, [config_map(name, a="1")]) == [f"{title}: unchanged"]
    assert cluster.apply(api, [config_map(name, a="2")]) == [f"{title}: changed"]


def test_field_that_is_not_declared_any_more_is_removed(api: client.ApiClient, name: str) -> None:
    cluster.apply(api, [config_map(name, a="1", b="1")])
    cluster.apply(api, [config_map(name, a="1")])
    assert client.CoreV1Api(api).read_namespaced_config_map(name, NAMESPACE).data == {"a": "1"}


def test_field_of_another_manager_fails_and_is_named(
    api: client.ApiClient, admin: client.ApiClient, name: str
) -> None:
    cluster.apply(api, [config_map(name, a="1")])
    client.CoreV1Api(admin).patch_namespaced_config_map(
        name, NAMESPACE, {"data": {"a": "by hand"}}, field_manager="kubectl-edit"
    )
    with pytest.raises(PolicyFailed, match=r"\.data\.a") as caught:
        cluster.apply(api, [config_map(name, a="1")])
    said = f"applying ConfigMap/{name}: .data.a belongs to field manager kubectl-edit"
    assert caught.value.message == said
    assert caught.value.lines == (".data.a: kubectl-edit",)


def test_all_fields_of_others_are_told_of_all_objects_before_anything_is_applied(
    api: client.ApiClient, admin: client.ApiClient, name: str
) -> None:
    core, apps = client.CoreV1Api(admin), client.AppsV1Api(admin)
    wanted = [config_map(name, a="1"), deployment(name, f"image@{NO_DIGEST}", ["true"], replicas=0)]
    cluster.apply(api, wanted)
    core.patch_namespaced_config_map(name, NAMESPACE, {"data": {"a": "2"}}, field_manager="kubectl-edit")
    apps.patch_namespaced_deployment_scale(name, NAMESPACE, {"spec": {"replicas": 1}}, field_manager="scaler")
    apps.patch_namespaced_deployment(
        name,
        NAMESPACE,
        {"spec": {"template": {"spec": {"enableServiceLinks": True}}}},
        field_manager="theirs",
    )
    wanted[1]["spec"]["template"]["spec"]["enableServiceLinks"] = False
    with pytest.raises(PolicyFailed, match=r"^comparing what is live: ConfigMap/.* \(and 2 more\)") as caught:
        cluster.difference(api, wanted)
    assert caught.value.lines == (
        f"ConfigMap/{name}: .data.a: kubectl-edit",
        f"Deployment/{name}: .spec.replicas: scaler (by scale)",
        f"Deployment/{name}: .spec.template.spec.enableServiceLinks: theirs",
    )
    apps.delete_namespaced_deployment(name, NAMESPACE, propagation_policy="Background")


SERVICE = "adapters-test"
KINDS = ("ConfigMap", "Deployment")


def released(manifest: dict[str, Any], service: str = SERVICE) -> dict[str, Any]:
    """Give a manifest as a release applies it."""
    manifest["metadata"]["labels"] = {
        **LABELS,
        "app.kubernetes.io/managed-by": "slipway",
        "app.kubernetes.io/part-of": service,
    }
    return manifest


def items(*manifests: dict[str, Any]) -> list[cluster.Item]:
    return [(one["kind"], one["metadata"]["name"], one["apiVersion"]) for one in manifests]


def test_what_a_release_has_no_more_is_deleted_once_and_planned_first(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    kept = config_map("kept")
    old = [released(config_map(name)), released(deployment(name, images["base-python"], ["sleep", "60"]))]
    cluster.apply(api, old)
    inventory = [
        *items(kept, *old),
        ("ConfigMap", f"{name}-never", "v1"),
        ("Deployment", name, "apps/v1beta2"),
    ]
    told = [f"Deployment/{name}", f"ConfigMap/{name}"]  # what uses the configuration goes before it
    planned = cluster.prunable(api, NAMESPACE, inventory, items(kept), service=SERVICE, kinds=KINDS)
    assert [(one.title, one.left) for one in planned] == [(title, None) for title in told]
    assert client.CoreV1Api(api).read_namespaced_config_map(name, NAMESPACE)
    done = cluster.prune(api, NAMESPACE, inventory, items(kept), service=SERVICE, kinds=KINDS)
    assert done == [f"{title}: deleted" for title in told]
    assert cluster.prune(api, NAMESPACE, inventory, items(kept), service=SERVICE, kinds=KINDS) == []
    assert cluster.apply(api, [old[0]]) == [f"ConfigMap/{name}: created"]  # the name is free at once


def test_what_is_not_ours_is_left_alone_whatever_the_inventory_says(
    api: client.ApiClient, admin: client.ApiClient, name: str
) -> None:
    core, kept = client.CoreV1Api(admin), items(config_map("kept"))
    plain = {"metadata": {"name": name, "labels": released(config_map(name))["metadata"]["labels"]}}

    def pruned(*more: cluster.Item, kinds: tuple[str, ...] = KINDS) -> list[str]:
        inventory = [*items(config_map(name)), *more]
        planned = cluster.prunable(api, NAMESPACE, inventory, kept, service=SERVICE, kinds=kinds)
        done = cluster.prune(api, NAMESPACE, inventory, kept, service=SERVICE, kinds=kinds)
        assert [str(one) for one in planned] == done
        assert core.read_namespaced_config_map(name, NAMESPACE)
        return done

    core.create_namespaced_config_map(NAMESPACE, plain)  # made by another under the name of an old one
    assert pruned() == [f"ConfigMap/{name}: left alone: no field of it was applied by slipway"]
    core.delete_namespaced_config_map(name, NAMESPACE)
    cluster.apply(api, [released(config_map(name), "another-service")])
    assert pruned() == [
        f"ConfigMap/{name}: left alone: its label app.kubernetes.io/part-of is another-service, not {SERVICE}"
    ]
    core.patch_namespaced_config_map(
        name, NAMESPACE, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}}
    )
    assert pruned() == [
        f"ConfigMap/{name}: left alone: its label app.kubernetes.io/managed-by is Helm, not slipway"
    ]
    core.delete_namespaced_config_map(name, NAMESPACE)
    cluster.apply(api, [released(config_map(name))])
    why = "is not a kind that the catalog lets the service have"
    assert pruned(("Secret", name, "v1"), kinds=("Deployment",)) == [
        f"ConfigMap/{name}: left alone: ConfigMap of v1 {why}",
        f"Secret/{name}: left alone: Secret of v1 {why}",
    ]


def test_object_that_changes_meanwhile_is_looked_at_again(
    api: client.ApiClient, admin: client.ApiClient, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, manifest = client.CoreV1Api(admin), released(config_map(name))
    real, looks = pruning._left, 0

    def changed_after_the_look(live: Any, service: str) -> str | None:
        nonlocal looks
        looks += 1
        labels = {"app.kubernetes.io/part-of": "theirs"} if looks == 2 else {"look": str(looks)}
        said = real(live, service)
        core.patch_namespaced_config_map(name, NAMESPACE, {"metadata": {"labels": labels}})
        return said

    cluster.apply(api, [manifest])
    monkeypatch.setattr(pruning, "_left", changed_after_the_look)
    arguments = (api, NAMESPACE, items(manifest), items(config_map("kept")))
    (done,) = cluster.prune(*arguments, service=SERVICE, kinds=KINDS)
    assert (
        done == f"ConfigMap/{name}: left alone: its label app.kubernetes.io/part-of is theirs, not {SERVICE}"
    )
    assert (looks, bool(core.read_namespaced_config_map(name, NAMESPACE))) == (3, True)


def test_difference_is_shown_and_changes_nothing(api: client.ApiClient, name: str) -> None:
    core, title = client.CoreV1Api(api), f"ConfigMap/{name}"
    absent = cluster.difference(api, [config_map(name, a="1")])
    assert [one.title for one in absent] == [title]
    assert "+  a: '1'" in absent[0].lines
    assert not [line for line in absent[0].lines if "managedFields" in line or "resourceVersion" in line]
    with pytest.raises(client.ApiException, match="404"):
        core.read_namespaced_config_map(name, NAMESPACE)
    cluster.apply(api, [config_map(name, a="1")])
    same = cluster.difference(api, [config_map(name, a="1")])
    assert [(one.lines, one.owners, bool(one)) for one in same] == [((), (), False)]
    changed = cluster.difference(api, [config_map(name, a="2")])
    assert [line for line in changed[0].lines if line[0] in "+-" and line[:3] not in ("+++", "---")] == [
        "-  a: '1'",
        "+  a: '2'",
    ]
    assert core.read_namespaced_config_map(name, NAMESPACE).data == {"a": "1"}


def test_difference_refuses_what_apply_would_refuse(api: client.ApiClient, name: str) -> None:
    with pytest.raises(PolicyFailed, match="not a key"):
        cluster.difference(api, [{**config_map(name), "data": {"not a key": "x"}}])
    with pytest.raises(PolicyFailed, match="ConfigMapp"):
        cluster.difference(api, [{**config_map(name), "kind": "ConfigMapp"}])
    mistyped = deployment(name, "image", ["true"])
    mistyped["spec"]["replicas"] = "many"
    with pytest.raises(PolicyFailed, match=r"spec\.replicas: expected numeric"):
        cluster.difference(api, [mistyped])


def test_drift_of_another_manager_is_named_and_undone_by_force_alone(
    api: client.ApiClient, admin: client.ApiClient, name: str
) -> None:
    cluster.apply(api, [config_map(name, a="1", b="1")])
    client.CoreV1Api(admin).patch_namespaced_config_map(
        name, NAMESPACE, {"data": {"a": "by hand", "theirs": "kept"}}, field_manager="kubectl-edit"
    )
    with pytest.raises(PolicyFailed, match=r"\.data\.a belongs to field manager kubectl-edit"):
        cluster.difference(api, [config_map(name, a="1", b="1")])
    (found,) = cluster.difference(api, [config_map(name, a="1", b="1")], force=True)
    assert found.owners == (".data.a: kubectl-edit",)
    assert {"-  a: by hand", "+  a: '1'"} <= set(found.lines)
    assert cluster.apply(api, [config_map(name, a="1", b="1")], force=True) == [f"ConfigMap/{name}: changed"]
    assert not cluster.difference(api, [config_map(name, a="1", b="1")])[0]
    data = client.CoreV1Api(api).read_namespaced_config_map(name, NAMESPACE).data
    assert data == {"a": "1", "b": "1", "theirs": "kept"}  # what the release does not declare is not its own


def test_object_that_the_server_refuses_fails_and_says_why(api: client.ApiClient, name: str) -> None:
    wrong = {**config_map(name), "data": {"not a key": "x"}}
    with pytest.raises(PolicyFailed, match="not a key"):
        cluster.apply(api, [wrong])
    unknown = {**config_map(name), "kind": "ConfigMapp"}
    with pytest.raises(PolicyFailed, match="ConfigMapp"):
        cluster.apply(api, [unknown])


def test_another_namespace_is_refused_by_the_role(api: client.ApiClient, name: str) -> None:
    with pytest.raises(Transient, match="forbidden") as caught:
        cluster.apply(api, [config_map(name, "kube-system")])
    assert "kube-system" in caught.value.message
    assert "Role" in caught.value.remedy
    with pytest.raises(Transient, match="forbidden"):
        cluster.put_secret(api, "default", name, {"a": "b"}, labels=LABELS)
    with pytest.raises(Transient, match="forbidden"):
        cluster.rollout(api, "kube-system", "coredns", NO_DIGEST, timeout_s=60)


def test_expired_identity_and_a_dead_server_are_told_apart(api: client.ApiClient, name: str) -> None:
    refused = client.Configuration.get_default_copy()
    refused.host, refused.ssl_ca_cert = api.configuration.host, api.configuration.ssl_ca_cert
    refused.api_key = {"authorization": "Bearer nobody"}
    with pytest.raises(Transient, match="Unauthorized"):
        cluster.delete(client.ApiClient(refused), "secret", NAMESPACE, name)
    dead = client.Configuration()
    dead.host, dead.retries = "https://127.0.0.1:9", False
    with pytest.raises(Transient, match="does not answer"):
        cluster.delete(client.ApiClient(dead), "secret", NAMESPACE, name)


def test_rollout_is_complete_when_its_pods_run_the_digest(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    image = images["base-python"]
    digest = image.partition("@")[2]
    cluster.apply(api, [deployment(name, image, ["sleep", "600"])])
    state = followed(api, name, digest)
    assert len(state.pods) == 1
    assert [one.endswith(digest) for one in state.image_ids] == [True]
    stranger = cluster.rollout(api, NAMESPACE, name, NO_DIGEST, timeout_s=60)
    assert not stranger.complete
    assert digest in stranger.message


def test_pods_that_read_what_changed_are_replaced_and_others_stay(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    """A ConfigMap alone, Vault's version alone, the way back: new pods have it before the rollout is complete."""
    image, core = images["base-python"], client.CoreV1Api(api)

    def released_with(setting: str, version: str) -> tuple[str, str]:
        reader = deployment(name, "app", ["sh", "-c", 'echo "setting is $SETTING"; exec sleep 600'])
        sources = [
            {"configMapRef": {"name": name}},
            {"secretRef": {"name": f"{name}-secret", "optional": True}},
        ]
        reader["spec"]["template"]["spec"]["containers"][0]["envFrom"] = sources
        objects = manifests.release_of(
            [config_map(name, SETTING=setting), reader],
            deployment=name,
            container="app",
            image=image,
            commit="c" * 40,
            service=SERVICE,
            secrets={f"{name}-secret": version},
        )
        cluster.apply(api, objects, force=True)
        (pod,) = followed(api, name, image.partition("@")[2]).pods
        deadline = time.monotonic() + SOON_S
        while not (said := core.read_namespaced_pod_log(pod, NAMESPACE, _preload_content=False).data):
            assert time.monotonic() < deadline, f"{pod} has said nothing within {SOON_S} s"
            time.sleep(0.2)
        return pod, said.decode().strip()

    first, said = released_with("old", "version 1 of x")
    assert said == "setting is old"
    assert released_with("old", "version 1 of x") == (first, said)
    second, said = released_with("new", "version 1 of x")
    assert (second != first, said) == (True, "setting is new")
    third, _ = released_with("new", "version 2 of y")
    assert third != second
    back, said = released_with("old", "version 1 of x")  # as a rollback applies it
    assert (back != third, said) == (True, "setting is old")


def test_image_that_cannot_be_pulled_fails_soon(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    image = f"{images['base-python'].partition('@')[0]}@{NO_DIGEST}"
    cluster.apply(api, [deployment(name, image, ["sleep", "600"])])
    with pytest.raises(PolicyFailed, match=f"pod {name}-.*(ErrImagePull|ImagePullBackOff)") as caught:
        followed(api, name, images["base-debian"].partition("@")[2])
    assert "registry" in caught.value.remedy
    # the registry has lost what the release itself pushed: no fault of the service's
    with pytest.raises(Permanent, match=f"pod {name}-.*: not found"):
        followed(api, name, NO_DIGEST)


def test_crash_loop_fails_soon_with_the_last_lines(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    image = images["base-python"]
    manifest = deployment(name, image, ["sh", "-c", "echo no database there; exit 3"])
    manifest["spec"]["minReadySeconds"] = (
        30  # in place of a readiness probe: without either, it serves at once
    )
    cluster.apply(api, [manifest])
    with pytest.raises(PolicyFailed, match=f"pod {name}-.*CrashLoopBackOff") as caught:
        followed(api, name, image.partition("@")[2])
    assert caught.value.message.endswith("exit code 3: no database there")
    assert caught.value.lines == ("no database there",)


def test_pod_that_admission_refuses_fails_soon(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    manifest = deployment(name, images["base-python"], ["sleep", "600"])
    manifest["spec"]["template"]["spec"]["hostNetwork"] = True
    cluster.apply(api, [manifest])
    with pytest.raises(PolicyFailed, match=r"pods cannot be created.*PodSecurity"):
        followed(api, name, images["base-python"].partition("@")[2])


def probed(name: str, image: str, command: list[str]) -> dict[str, Any]:
    """Give a deployment whose pods are ready when /tmp/ready is there, and that has ten seconds for it."""
    manifest = deployment(name, image, command)
    manifest["spec"]["progressDeadlineSeconds"] = 10
    manifest["spec"]["template"]["spec"]["containers"][0]["readinessProbe"] = {
        "exec": {"command": ["ls", "/tmp/ready"]},
        "periodSeconds": 1,
    }
    return manifest


READY, UNREADY = (
    ["sh", "-c", "touch /tmp/ready; exec sleep 600"],
    ["sh", "-c", "echo warming up; exec sleep 600"],
)


def test_pod_that_is_never_ready_fails_with_what_its_probe_says(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    cluster.apply(api, [probed(name, images["base-python"], UNREADY)])
    with pytest.raises(
        PolicyFailed, match=rf"^pod {name}-\S+ is not ready: Readiness probe failed: .*/tmp/ready"
    ) as caught:
        followed(api, name, images["base-python"].partition("@")[2])
    assert "ProgressDeadlineExceeded" in caught.value.message
    assert caught.value.lines == ("warming up",)


def test_template_that_comes_back_is_not_judged_by_the_failed_one_between(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    image = images["base-python"]
    digest = image.partition("@")[2]
    cluster.apply(api, [probed(name, image, READY)])
    followed(api, name, digest)
    cluster.apply(api, [probed(name, image, UNREADY)])
    with pytest.raises(PolicyFailed, match="is not ready"):
        followed(api, name, digest)
    cluster.apply(api, [probed(name, image, READY)])
    assert followed(api, name, digest).complete


def test_pod_that_no_node_takes_is_waited_for_and_never_the_commits_fault(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    manifest = deployment(name, images["base-python"], ["sleep", "600"])
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {"place": "nowhere"}
    manifest["spec"]["progressDeadlineSeconds"] = 10
    cluster.apply(api, [manifest])
    began = time.monotonic()
    with pytest.raises(Permanent, match=f"^pod {name}-.*: Unschedulable: 0/1 nodes are available") as caught:
        followed(api, name, images["base-python"].partition("@")[2])
    assert "the rollout stopped: ProgressDeadlineExceeded" in caught.value.message
    assert "node selector" in caught.value.remedy
    assert 8 < time.monotonic() - began < 30


def test_rollout_goes_on_when_the_cluster_makes_room(
    api: client.ApiClient, admin: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    core, node = client.CoreV1Api(admin), client.CoreV1Api(admin).list_node().items[0].metadata.name
    image = images["base-python"]
    manifest = deployment(name, image, ["sleep", "600"])
    manifest["spec"]["template"]["spec"]["nodeSelector"] = {f"slipway-test/{name}": "room"}
    cluster.apply(api, [manifest])
    state = cluster.rollout(api, NAMESPACE, name, NO_DIGEST, timeout_s=60)
    deadline = time.monotonic() + 30
    while state.obstacle is None or state.obstacle.cause is not cluster.Cause.UNSCHEDULABLE:
        assert time.monotonic() < deadline, state
        state = cluster.rollout(api, NAMESPACE, name, NO_DIGEST, timeout_s=60)
    assert state.message.startswith("Unschedulable: 0/1 nodes are available: ")
    core.patch_node(node, {"metadata": {"labels": {f"slipway-test/{name}": "room"}}})
    try:
        assert followed(api, name, image.partition("@")[2]).complete
    finally:
        core.patch_node(node, {"metadata": {"labels": {f"slipway-test/{name}": None}}})


def test_pods_that_have_ended_do_not_count(
    api: client.ApiClient, admin: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    """One is evicted for what it writes, as when a node runs short of disk; one of nobody's has the labels and has failed."""
    core, image = client.CoreV1Api(admin), images["base-python"]
    manifest = deployment(name, image, ["sh", "-c", "exec sleep 600"])
    spec = manifest["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "scratch", "mountPath": "/scratch"}]
    cluster.apply(api, [manifest])
    digest = image.partition("@")[2]
    (first,) = followed(api, name, digest).pods
    left = {
        "metadata": {"name": f"{name}-left", "labels": manifest["spec"]["template"]["metadata"]["labels"]}
    }
    failed = {"restartPolicy": "Never", "containers": [{**spec["containers"][0], "command": ["false"]}]}
    core.create_namespaced_pod(NAMESPACE, {**left, "spec": {**spec, **failed}})
    fill = ["sh", "-c", "head -c 5000000 /dev/zero > /scratch/much"]
    stream(core.connect_get_namespaced_pod_exec, first, NAMESPACE, command=fill, stdout=True)
    try:
        deadline = time.monotonic() + 120
        for pod in (first, f"{name}-left"):
            while core.read_namespaced_pod(pod, NAMESPACE).status.phase != "Failed":
                assert time.monotonic() < deadline, f"{pod} has not ended"
                time.sleep(0.5)
        state = followed(api, name, digest)
        assert state.complete
        assert len(state.pods) == 1
        assert first not in state.pods
        assert f"not counted: 1 that ended ({first})" in state.message
        assert f"not counted: 1 of others, which the selector fits, too ({name}-left)" in state.message
    finally:
        for pod in (first, f"{name}-left"):
            cluster.delete(admin, "pod", NAMESPACE, pod)


def test_pods_of_another_deployment_with_the_same_labels_do_not_count(
    api: client.ApiClient, admin: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    image, other = images["base-python"], f"{name}-worker"
    worker = deployment(other, image, ["sh", "-c", "exit 3"])  # it crash-loops, and that is its own affair
    labels = {**LABELS, "app.kubernetes.io/name": name, "role": "worker"}
    worker["spec"]["template"]["metadata"]["labels"] = worker["spec"]["selector"]["matchLabels"] = labels
    cluster.apply(api, [worker, deployment(name, image, ["sleep", "600"])])
    try:
        state = followed(api, name, image.partition("@")[2])
        assert (len(state.pods), state.complete) == (1, True)
        assert f"not counted: 1 of others, which the selector fits, too ({other}-" in state.message
    finally:
        client.AppsV1Api(admin).delete_namespaced_deployment(
            other, NAMESPACE, propagation_policy="Background"
        )


class Absent(BaseHTTPRequestHandler):
    """A registry that is overloaded, and says so."""

    def do_GET(self) -> None:
        self.send_error(503)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def overloaded(sandbox: Sandbox) -> Iterator[str]:
    """Gives the address of a registry that answers 503, where nodes reach it."""
    host = sandbox.registry.partition(":")[0]
    with ThreadingHTTPServer((host, 0), Absent) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"{host}:{server.server_port}"
        server.shutdown()


def test_registry_that_is_overloaded_is_waited_for(api: client.ApiClient, name: str, overloaded: str) -> None:
    manifest = deployment(name, f"{overloaded}/shop@{NO_DIGEST}", ["sleep", "600"])
    manifest["spec"]["progressDeadlineSeconds"] = 10
    cluster.apply(api, [manifest])
    with pytest.raises(Permanent, match=f"pod {name}-.*(ErrImagePull|ImagePullBackOff): ") as caught:
        followed(api, name, NO_DIGEST)
    assert "the rollout stopped: ProgressDeadlineExceeded" in caught.value.message
    assert "clear the task" in caught.value.remedy


def test_secret_that_is_made_late_is_waited_for(
    api: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    image = images["base-python"]
    manifest = deployment(name, image, ["sleep", "600"])
    manifest["spec"]["template"]["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": name}}]
    cluster.apply(api, [manifest])
    deadline = time.monotonic() + 60
    while True:
        state = cluster.rollout(api, NAMESPACE, name, NO_DIGEST, timeout_s=300)
        if state.obstacle and state.obstacle.cause is cluster.Cause.MISSING:
            break
        assert time.monotonic() < deadline, state
        time.sleep(0.2)
    assert state.message.startswith(f'CreateContainerConfigError: secret "{name}" not found')
    cluster.put_secret(api, NAMESPACE, name, {"A": "b"}, labels=LABELS)
    assert followed(api, name, image.partition("@")[2], timeout_s=600).complete


def test_volume_that_is_missing_fails_soon(api: client.ApiClient, name: str, images: dict[str, str]) -> None:
    manifest = deployment(name, images["base-python"], ["sleep", "600"])
    spec = manifest["spec"]["template"]["spec"]
    spec["volumes"] = [{"name": "lost", "secret": {"secretName": "nothing"}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "lost", "mountPath": "/lost"}]
    cluster.apply(api, [manifest])
    with pytest.raises(
        PolicyFailed, match=f'^pod {name}-.*: FailedMount: .*secret "nothing" not found'
    ) as caught:
        followed(api, name, images["base-python"].partition("@")[2])
    assert "Secret" in caught.value.remedy


def test_secret_is_put_twice_and_deleted_twice(api: client.ApiClient, name: str) -> None:
    assert cluster.kept(api, NAMESPACE, name) is None
    for text in ("one", "two"):
        cluster.put_secret(
            api, NAMESPACE, name, {"url": text}, labels=LABELS, annotations={"slipway/lease": text}
        )
        assert cluster.kept(api, NAMESPACE, name) == cluster.Kept({"slipway/lease": text}, is_used=False)
    found = client.CoreV1Api(api).read_namespaced_secret(name, NAMESPACE)
    assert (set(found.data), found.metadata.labels["app.kubernetes.io/managed-by"]) == ({"url"}, "slipway")
    for _ in range(2):
        cluster.delete(api, "secret", NAMESPACE, name)
    assert cluster.kept(api, NAMESPACE, name) is None


def test_config_map_of_files_is_put_twice_and_deleted_twice(api: client.ApiClient, name: str) -> None:
    for content in (b"\x00one", b"\xfftwo"):
        cluster.put_config_map(api, NAMESPACE, name, {"changelog.tar": content}, labels=LABELS)
    found = client.CoreV1Api(api).read_namespaced_config_map(name, NAMESPACE)
    assert found.binary_data == {"changelog.tar": "/3R3bw=="}
    for _ in range(2):
        cluster.delete(api, "config_map", NAMESPACE, name)


def test_what_releases_made_for_themselves_is_listed_and_nothing_else(
    api: client.ApiClient, admin: client.ApiClient, name: str, images: dict[str, str]
) -> None:
    core, own, labels = client.CoreV1Api(admin), f"slipway-{name}", {"slipway/purpose": "release"}
    notes = {"slipway/lease": "database/creds/x/1", "slipway/run": "svc.0123456789ab"}
    cluster.put_secret(api, NAMESPACE, own, {"a": "b"}, labels=labels, annotations=notes)
    cluster.put_config_map(api, NAMESPACE, own, {"a": b"b"}, labels=labels)
    cluster.put_secret(api, NAMESPACE, name, {"a": "b"}, labels=labels)  # as the service's own is made
    template = deployment(name, images["base-python"], ["sleep", "60"])["spec"]["template"]
    told = {"kubernetes_pod_operator": "True", "run_id": "svc.0123456789ab"}
    pod = {**template, "metadata": {"name": own, "labels": {**LABELS, **told}}}
    core.create_namespaced_pod(NAMESPACE, pod)
    theirs = deployment(name, images["base-python"], ["sleep", "60"])
    theirs["spec"]["template"]["metadata"]["labels"] |= told
    cluster.apply(api, [theirs])
    followed(api, name, images["base-python"].partition("@")[2])
    try:
        listed = [one for one in cluster.of_runs(api, NAMESPACE) if name in one.name]
        assert len(listed) == 3  # not the pod of the Deployment, whatever labels it has
        found = {one.kind: one for one in listed}
        assert {kind: (one.name, one.run, one.lease) for kind, one in found.items()} == {
            "secret": (own, "svc.0123456789ab", "database/creds/x/1"),
            "config_map": (own, None, None),
            "pod": (own, "svc.0123456789ab", None),
        }
    finally:
        for kind in ("secret", "config_map", "pod"):
            cluster.delete(api, kind, NAMESPACE, own)
    live = [one for one in cluster.of_runs(api, NAMESPACE) if name in one.name and one.kind != "pod"]
    assert live == []


def test_request_to_a_service_that_is_not_there_gives_its_status(api: client.ApiClient, name: str) -> None:
    status, body = cluster.get(api, NAMESPACE, name, 80, "/version")
    assert status in (404, 503)
    assert name in json.dumps(body.decode())
