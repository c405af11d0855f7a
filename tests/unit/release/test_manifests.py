"""Which manifests may be applied, and what a release makes of them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway import strict_yaml
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
        (deployment(namespace="kube-system"), "m/x.yaml:1: Deployment web is for namespace kube-system"),
        (b"{kind: Secret, metadata: {name: s}}", "m/x.yaml:1: kind Secret (s) is not allowed here"),
        (b"{kind: ClusterRole, metadata: {name: s}}", "kind ClusterRole"),
        (b"- 1", "m/x.yaml:1: the document is no Kubernetes object: it has no kind"),
        (b"a: [", "m/x.yaml:2:1 cannot be read as a manifest: not YAML"),
        (b"\xff\xfe\xfa", "m/x.yaml cannot be read as a manifest: it is not UTF-8"),
        ("\ufeffa: 1".encode("utf-16-le"), "m/x.yaml cannot be read as a manifest: it is not UTF-8"),
        (b"\xc3(", "m/x.yaml cannot be read as a manifest: not YAML"),
        (b"a:\n\t- b", "m/x.yaml:2:1 cannot be read as a manifest: not YAML"),
        (b"---\n", "no manifests"),
        (b"# nothing\n---\n---\n", "no manifests"),
        (b"{kind: ConfigMap, metadata: {name: [1]}}", "m/x.yaml:1: the document (ConfigMap) has no name"),
        (b"\n{kind: ConfigMap}", "m/x.yaml:2: the document (ConfigMap) has no name"),
        (
            b"---\n# the second\n---\nkind: ConfigMap\nmetadata: {name: s}",
            "m/x.yaml:4: ConfigMap s: apiVersion is null rather than v1",
        ),
        (b"[" * 10_000, "m/x.yaml:1:65 cannot be read as a manifest: more than 64 levels"),
        (b"data: {1: one}", "m/x.yaml:1:8 cannot be read as a manifest: data: a key must be text"),
        (
            b"data: [.nan]",
            "m/x.yaml:1:8 cannot be read as a manifest: data[0]: `.nan` is no number that JSON has",
        ),
        (b"data: [-.Inf]", "data[0]: `-.Inf` is no number that JSON has"),
        (b"data: [1e999]", "data[0]: `1e999` is too large for a number"),
        (b"data: [123456789012345678901]", "data[0]: `123456789012345678901` is too large for a number"),
        (b'data: ["\\0"]', "data[0]: it has a NUL or half of a character"),
        (b"data: [yes]", "data[0]: `yes` is true for some readers of YAML, text for others"),
        (b"data: {on: a}", "data: `on` is true for some readers"),
        (b"mode: 0888", "mode: `0888` is a number for some readers of YAML, text for others"),
        (b"data: !!binary aGk=", "data: the tag !!binary is not read here"),
        (b"data: !!set {a}", "data: the tag tag:yaml.org,2002:set is not read here"),
        (b"data: !ruby/object {a: b}", "data: the tag !ruby/object is not read here"),
        (b"metadata: &a {b: *a}", "more than 100000 values or 64 levels"),
        (b"metadata: &a {<<: *a}", "more than 100000 values or 64 levels"),
        (b"a: &a {x: 1}\nb: {x: 2, <<: *a}", "it comes after `x`, which it has, too; put << first"),
        (b"a: {<<: 3}", "<< takes a mapping, or a list of them"),
        (b"kind: ConfigMap\nmetadata:\n  name: s\ndata:\n  A:\n", "m/x.yaml:5: data.A is empty"),
        (
            b"kind: ConfigMap\nmetadata:\n  name: s\ndata:\n  A: 1.10\n",
            "m/x.yaml:5: data.A is 1.1 rather than text",
        ),
        (b"kind: ConfigMap\nmetadata: {name: s, labels: {a: true}}", "labels.a is true rather than text"),
        (b"spec:\n  args:\n    - a\n    -\n", "m/x.yaml:4: spec.args[1] is empty"),
        (b"kind: List\nitem: []", "m/x.yaml:2: item is no field of a List"),
        (b"kind: List\nitems: {a: b}", "m/x.yaml:2: items is not a list"),
        (b"kind: List\nitems:\n- kind: ConfigMap", "m/x.yaml:3: items[0] (ConfigMap) has no name"),
        (b"kind: List\nitems:\n- 3", "m/x.yaml:3: items[0] is no Kubernetes object"),
        (
            b"kind: List\nitems:\n- kind: List\n  items:\n  - {kind: Role, metadata: {name: r}}",
            "m/x.yaml:5: kind Role (r) is not allowed here",
        ),
    ],
)
def test_anything_else_is_refused_by_file_line_and_field(content: bytes, said: str) -> None:
    with pytest.raises(PolicyFailed, match=r".") as refused:
        load({"m/x.yaml": content})
    assert said in refused.value.message
    assert refused.value.remedy
    assert not re.search(r"Error|Type|datetime|None|\bdict\b", str(refused.value))


SAME_KEY_TWICE = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 2
  replicas: 5 # a merge left both lines
"""


def test_a_key_that_is_there_twice_is_refused_with_its_place() -> None:
    said = r"^m/x\.yaml:6:3 cannot be read as a manifest: spec\.replicas: the key is given twice \(first in line 5\)"
    with pytest.raises(PolicyFailed, match=said):
        load({"m/x.yaml": SAME_KEY_TWICE})
    as_json = b'{"apiVersion": "v1",\n\t"kind": "ConfigMap",\n\t"kind": "Deployment"}'
    with pytest.raises(PolicyFailed, match=r"^m/x\.json:3:2 .*the key is given twice"):
        load({"m/x.json": as_json})


WORDS = st.text("abcdefgh", min_size=1, max_size=4).filter(lambda one: one != "null")
TREES = st.recursive(
    WORDS, lambda inner: st.dictionaries(WORDS, inner, min_size=1, max_size=4) | st.lists(inner, max_size=3)
)


@given(st.dictionaries(WORDS, TREES, min_size=1, max_size=5), st.data())
def test_whatever_key_is_written_twice_its_line_is_named(tree: dict[str, Any], data: st.DataObject) -> None:
    lines = json.dumps(tree, indent=2).splitlines()
    at = data.draw(st.sampled_from([i for i, line in enumerate(lines) if '": ' in line]))
    key = lines[at].split(":")[0]
    lines.insert(at, f"{key}: 1,")
    with pytest.raises(PolicyFailed) as refused:
        load({"m/x.yaml": "\n".join(lines).encode()})
    place = f"m/x.yaml:{at + 2}:{key.index(chr(34)) + 1}"
    assert refused.value.message.startswith(f"{place} cannot be read as a manifest: ")
    assert f"the key is given twice (first in line {at + 1})" in refused.value.message


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-11-24", "2026-11-24"),
        ("2026-13-45", "2026-13-45"),
        ("2026-11-24T10:00:00Z", "2026-11-24T10:00:00Z"),
        ("22:22", "22:22"),
        ("=", "="),
        ("0644", 420),
        ("0o644", 420),
        ("0x1F", 31),
        ("1_000", 1000),
        ("1e3", 1000),
        ("1.5", 1.5),
        ("-7", -7),
        ("true", True),
        ('"yes"', "yes"),
        ("!!str 12", "12"),
        ("1.2.3", "1.2.3"),
        ("<<", "<<"),
    ],
)
def test_scalars_are_what_kubernetes_takes_them_for(written: str, meant: Any) -> None:
    (document,) = strict_yaml.documents(f"a: {written}".encode(), strict_yaml.MANIFEST)
    assert document.value == {"a": meant}
    assert type(document.value["a"]) is type(meant)


def test_merged_keys_are_there_and_own_ones_win() -> None:
    text = b"a: &a {x: '1', w: '1'}\nb: &b {w: '2', z: '2'}\nc:\n  <<: [*a, *b]\n  z: '3'\n"
    (document,) = strict_yaml.documents(text, strict_yaml.MANIFEST)
    assert document.value["c"] == {"x": "1", "w": "1", "z": "3"}
    assert document.at(("c", "z")) == (5, 3)


def test_what_an_anchor_names_is_not_shared() -> None:
    text = b"kind: ConfigMap\napiVersion: v1\nmetadata: {name: s, labels: &l {a: b}}\ndata: *l\n"
    (marked,) = [one for one in release(deployment() + b"---\n" + text) if one["kind"] == "ConfigMap"]
    assert "app.kubernetes.io/managed-by" in marked["metadata"]["labels"]
    assert marked["data"] == {"a": "b"}


MAP = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  labels: # left empty\n"


def test_what_is_null_is_absent() -> None:
    (found,) = load({"m/x.yaml": MAP % b"s" + b"  annotations: ~\nimmutable: null\ndata: {A: ''}"})
    assert found == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "s", "namespace": "web"},
        "data": {"A": ""},
    }
    (marked,) = [one for one in release(deployment() + b"---\n" + MAP % b"s") if one["kind"] == "ConfigMap"]
    assert marked["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "slipway"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(WORDS, JSON, max_size=4))
def test_dropping_nulls_leaves_none_and_is_done_once(spec: dict[str, Any]) -> None:
    one = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "s"}, "x": spec}

    def read(value: Any) -> Any:
        return load({"m/x.json": json.dumps(value).encode()})

    # an item of a list that is null is refused
    if "null" in re.sub(r'": null', "", json.dumps(spec)):
        with pytest.raises(PolicyFailed, match=" is empty"):
            read(one)
        return
    first = read(one)
    assert "null" not in json.dumps(first)
    assert read(first[0]) == first


@given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=5, unique=True), st.booleans())
def test_a_list_is_the_same_as_separate_documents(names: list[str], is_typed: bool) -> None:
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": one}, "data": {}} for one in names
    ]
    separate = load({"m/x.yaml": yaml.safe_dump_all(objects).encode()})
    kind = "List"
    if is_typed:
        kind = "ConfigMapList"
        objects = [{key: one[key] for key in ("metadata", "data")} for one in objects]
    listed = {"apiVersion": "v1", "kind": kind, "metadata": {"resourceVersion": ""}, "items": objects}
    assert load({"m/x.yaml": yaml.safe_dump(listed).encode()}) == separate
    assert load({"m/x.JSON": json.dumps(listed, indent="\t").encode()}) == separate


@pytest.mark.parametrize(
    ("path", "tool"),
    [
        ("m/kustomization.yaml", "Kustomize"),
        ("m/base/kustomization.yml", "Kustomize"),
        ("m/Kustomization", "Kustomize"),
        ("m/Chart.yaml", "Helm"),
        ("m/values.yaml", "Helm"),
        ("m/values-prod.yml", "Helm"),
        ("m/templates/_helpers.tpl", "Helm"),
        ("m/templates/NOTES.txt", "Helm"),
    ],
)
def test_a_file_of_another_tool_is_named_as_what_it_is(path: str, tool: str) -> None:
    with pytest.raises(PolicyFailed, match=f"^{path} is a file of {tool}, not a manifest") as refused:
        load({"m/x.yaml": deployment(), path: b"a: b"})
    assert f"{tool} is not run here: commit what" in refused.value.remedy


@pytest.mark.parametrize(
    "content",
    [
        b"kind: ConfigMap\nmetadata:\n  name: {{ .Values.name }}\n",
        b"kind: ConfigMap\n{{- if .Values.on }}\nmetadata: {name: a}\n{{- end }}\n",
    ],
)
def test_a_template_of_helm_is_named_as_one(content: bytes) -> None:
    with pytest.raises(PolicyFailed, match=r"^m/x\.yaml:") as refused:
        load({"m/x.yaml": content})
    assert "commit what `helm template` gives" in refused.value.remedy


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
        PolicyFailed, match=r"^m/x\.yaml:1: Deployment web, container proxy: image proxy:1 is not"
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
    assert "m/x.yaml:1" in refused.value.message
    with pytest.raises(PolicyFailed, match=r"Deployment web"):
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
