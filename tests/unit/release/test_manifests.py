"""Which manifests may be applied, and what a release makes of them."""

from __future__ import annotations

import pytest
import yaml

from slipway.errors import PolicyFailed
from slipway.release import manifests

KINDS = ("ConfigMap", "Deployment", "Service")


PROXY = f"proxy@sha256:{'0' * 64}"
RIGHTS = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
RESOURCES = {"requests": {"cpu": "50m", "memory": "96Mi"}, "limits": {"memory": "256Mi"}}


def deployment(*, proxy: str = PROXY, **metadata: str) -> bytes:
    containers = [
        {
            "name": name,
            "image": image,
            "readinessProbe": {"exec": {"command": ["true"]}},
            "securityContext": RIGHTS,
            "resources": RESOURCES,
        }
        for name, image in (("app", "placeholder"), ("proxy", proxy))
    ]
    pod = {
        "automountServiceAccountToken": False,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": containers,
    }
    return yaml.safe_dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web", **metadata},
            "spec": {"template": {"spec": pod}},
        }
    ).encode()


def config_map(name: str) -> bytes:
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}).encode()


def load(files: dict[str, bytes]) -> list[manifests.Manifest]:
    return manifests.load(files, namespace="web", kinds=KINDS)


def test_what_is_used_is_applied_before_what_uses_it() -> None:
    found = load(
        {
            "m/a.yaml": deployment(),
            "m/b.yaml": config_map("b") + b"---\n" + config_map("a"),
            "m/README.md": b"{",
        }
    )
    assert [(one["kind"], one["metadata"]["name"]) for one in found] == [
        ("ConfigMap", "a"),
        ("ConfigMap", "b"),
        ("Deployment", "web"),
    ]
    assert {one["metadata"]["namespace"] for one in found} == {"web"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (deployment(namespace="kube-system"), "m/x.yaml: Deployment web is for namespace kube-system"),
        (b"{kind: Secret, metadata: {name: s}}", "m/x.yaml: kind Secret (s) is not allowed here"),
        (b"{kind: ClusterRole, metadata: {name: s}}", "kind ClusterRole"),
        (b"- 1", "a document is no Kubernetes object"),
        (b"a: [", "m/x.yaml is not valid YAML"),
        (b"\xff\xfe\xfa", "m/x.yaml is not valid YAML"),
        (b"---\n", "no manifests"),
        (b"{kind: ConfigMap, metadata: {name: [1]}}", "m/x.yaml: ConfigMap has no name"),
        (
            b"{kind: ConfigMap, metadata: {name: s}}",
            "m/x.yaml: ConfigMap s: apiVersion is null rather than v1",
        ),
        (b"a: 2026-13-45", "m/x.yaml is not valid YAML"),
        (b"[" * 10_000, "m/x.yaml is not valid YAML"),
        (b"metadata: {}\ndata: {from: 2026-11-24}", "data.from is datetime.date(2026, 11, 24)"),
        (b"metadata: {}\ndata: {1: one}", "data has the key 1"),
        (b"metadata: {}\ndata: [.nan]", "data[0] is nan"),
        (b"metadata: {}\ndata: [123456789012345678901]", "data[0] is 123456789012345678901"),
        (b'metadata: {}\ndata: ["\\0"]', r"data[0] is '\x00'"),
        (b"metadata: &a {b: *a}", "it has more than 100000 values"),
    ],
)
def test_anything_else_is_refused_by_file_and_object(content: bytes, said: str) -> None:
    with pytest.raises(PolicyFailed, match=r".") as refused:
        load({"m/x.yaml": content})
    assert said in str(refused.value)


def test_only_the_named_container_gets_the_image() -> None:
    loaded = load({"m/x.yaml": deployment()})
    made = manifests.release_of(
        loaded, deployment="web", container="app", image="r/web@sha256:1", commit="c", service="web"
    )
    images = {one["name"]: one["image"] for one in made[0]["spec"]["template"]["spec"]["containers"]}
    assert images == {"app": "r/web@sha256:1", "proxy": PROXY}
    assert made[0]["spec"]["template"]["metadata"]["annotations"] == {"slipway/commit": "c"}
    assert loaded[0]["spec"]["template"]["spec"]["containers"][0]["image"] == "placeholder"


@pytest.mark.parametrize(("name", "container"), [("other", "app"), ("web", "other")])
def test_a_release_without_its_container_is_refused(name: str, container: str) -> None:
    with pytest.raises(PolicyFailed, match=f"no container {container} in a Deployment {name}"):
        manifests.release_of(
            load({"m/x.yaml": deployment()}),
            deployment=name,
            container=container,
            image="i",
            commit="c",
            service="s",
        )


def release(content: bytes) -> list[manifests.Manifest]:
    return manifests.release_of(
        load({"m/x.yaml": content}), deployment="web", container="app", image="i", commit="c", service="s"
    )


def test_an_image_that_is_not_pinned_is_refused_with_its_container() -> None:
    with pytest.raises(PolicyFailed, match="Deployment web, container proxy: image proxy:1 is not pinned"):
        release(deployment(proxy="proxy:1"))
    with pytest.raises(
        PolicyFailed, match=r"^m/x\.yaml: Deployment web, container proxy: image proxy:1 is not"
    ):
        manifests.load(
            {"m/x.yaml": deployment(proxy="proxy:1")}, namespace="web", kinds=KINDS, released=("web", "app")
        )


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "spec: ",
        "spec: {template: }",
        "spec: {template: {spec: {containers: 3}}}",
        "spec: {template: {spec: {containers: [3]}}}",
        "spec: {template: {metadata: {annotations: 3}}}",
    ],
)
def test_a_deployment_without_the_form_of_one_is_the_services_fault(rest: str) -> None:
    manifest = f"apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\n{rest}\n"
    with pytest.raises(PolicyFailed, match="Deployment web") as refused:
        load({"m/x.yaml": manifest.encode()})
    assert "m/x.yaml" in refused.value.message
    with pytest.raises(PolicyFailed, match="Deployment web has not the form of one"):
        manifests.release_of(
            [yaml.safe_load(manifest)], deployment="web", container="app", image="i", commit="c", service="s"
        )


def test_inventory_names_each_object_once_in_one_order() -> None:
    loaded = load({"m/x.yaml": deployment(), "m/y.yaml": config_map("b") + b"---\n" + config_map("a")})
    expected = [("ConfigMap", "a", "v1"), ("ConfigMap", "b", "v1"), ("Deployment", "web", "apps/v1")]
    assert manifests.inventory(reversed(loaded)) == expected


def test_content_hash_is_of_content_alone() -> None:
    assert manifests.content_hash({"a": b"1", "b": b"\xff"}) == manifests.content_hash(
        {"b": b"\xff", "a": b"1"}
    )
    assert manifests.content_hash({"a": b"1"}) != manifests.content_hash({"a": b"2"})
