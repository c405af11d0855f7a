"""What manifests may say: each rule by a manifest that breaks it alone, and any manifest at all."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.errors import PolicyFailed
from slipway.release import manifests, policy

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted(one.name.removesuffix("-config") for one in (ROOT / "examples").glob("*-config"))
APP = "spec.template.spec.containers.0"
POD = "spec.template.spec"
SECCOMP = {"type": "RuntimeDefault"}
DEPLOYMENT: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web"},
    "spec": {
        "template": {
            "metadata": {"labels": {"app": "web", "tier": "front"}},
            "spec": {
                "automountServiceAccountToken": False,
                "securityContext": {"runAsNonRoot": True, "seccompProfile": SECCOMP},
                "containers": [
                    {
                        "name": "app",
                        "image": f"web@sha256:{'0' * 64}",
                        "readinessProbe": {"httpGet": {"path": "/", "port": 80}},
                        "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}},
                        "securityContext": {
                            "allowPrivilegeEscalation": False,
                            "capabilities": {"drop": ["ALL"]},
                        },
                    }
                ],
            },
        }
    },
}
SERVICE: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
}
ACCOUNT: dict[str, Any] = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "web"}}


def changed(value: dict[str, Any], path: str | tuple[Any, ...], new: Any) -> dict[str, Any]:
    """Give a copy with ``new`` at a path; None takes away what is there."""
    made = copy.deepcopy(value)
    *way, last = path.split(".") if isinstance(path, str) else path
    here: Any = made
    for one in way:
        here = here[int(one)] if isinstance(here, list) else here.setdefault(one, {})
    if new is None:
        del here[last]
    else:
        here[last] = new
    return made


def texts(*objects: Any, released: tuple[str, str] | None = None) -> list[str]:
    return [one.text for one in policy.findings([("m/x.yaml", one) for one in objects], released=released)]


def test_what_serves_and_gives_nothing_away_passes() -> None:
    assert texts(DEPLOYMENT, SERVICE, ACCOUNT, released=("web", "app")) == []


@pytest.mark.parametrize("service", EXAMPLES)
def test_each_example_passes(service: str) -> None:
    folder = ROOT / f"examples/{service}-config/manifests"
    files = {f"manifests/{one.name}": one.read_bytes() for one in folder.iterdir()}
    assert manifests.load(files, namespace="x", kinds=policy.API_VERSIONS, released=(service, "app"))


def test_the_manifests_of_getting_started_pass() -> None:
    text = (ROOT / "docs/getting-started.md").read_text()
    (block,) = [one for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "kind: Deployment" in one]
    kinds = ("Service", "Deployment")
    assert manifests.load(
        {"m.yaml": block.encode()}, namespace="x", kinds=kinds, released=("my-service", "app")
    )


OF_POD = [
    ("hostNetwork", True, "spec.template.spec.hostNetwork is true"),
    ("hostPID", True, "hostPID is true"),
    ("hostIPC", True, "hostIPC is true"),
    ("hostIPC", "false", "hostIPC is false"),
    ("securityContext.windowsOptions.hostProcess", True, "windowsOptions.hostProcess is true"),
    ("securityContext.runAsUser", 0, "spec.template.spec.securityContext.runAsUser is 0"),
    ("securityContext.appArmorProfile", {"type": "Unconfined"}, "appArmorProfile.type is neither"),
    ("securityContext.seLinuxOptions", {"type": "spc_t"}, "seLinuxOptions has a user, a role, or a type"),
    ("securityContext.seLinuxOptions", {"user": "system_u"}, "seLinuxOptions has a user"),
    ("securityContext.sysctls", [{"name": "kernel.msgmax", "value": "1"}], "sysctl kernel.msgmax is not one"),
    ("automountServiceAccountToken", None, "automountServiceAccountToken is not false"),
    ("automountServiceAccountToken", "no", "automountServiceAccountToken is not false"),
    ("serviceAccountName", "slipway-infra", "serviceAccountName is slipway-infra"),
    ("serviceAccount", "slipway-infra", "serviceAccountName is slipway-infra"),
    ("volumes", [{"name": "node", "hostPath": {"path": "/"}}], "volume node is of type hostPath"),
    ("volumes", [{"name": "far", "nfs": {}}], "volume far is of type nfs"),
    (
        "volumes",
        [{"name": "key", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}],
        "volume key gives its pods a token",
    ),
    ("volumes", {"name": "node"}, "spec.template.spec.volumes is not a list"),
    ("securityContext", [], "spec.template.spec.securityContext is not a mapping"),
    ("containers", [], "spec.template.spec.containers is empty"),
]


@pytest.mark.parametrize(("field", "value", "said"), OF_POD)
def test_pod_that_reaches_further_is_refused_with_the_field(field: str, value: Any, said: str) -> None:
    found = texts(changed(DEPLOYMENT, f"{POD}.{field}", value), SERVICE)
    assert [one for one in found if said in one]
    assert all(one.startswith("m/x.yaml: Deployment web") for one in found)


OF_CONTAINER = [
    ("securityContext.privileged", True, "securityContext.privileged is true"),
    ("securityContext.allowPrivilegeEscalation", None, "allowPrivilegeEscalation is not false"),
    ("securityContext.allowPrivilegeEscalation", True, "allowPrivilegeEscalation is not false"),
    ("securityContext.capabilities.add", ["SYS_ADMIN"], "add has SYS_ADMIN"),
    ("securityContext.capabilities.add", [["NET_ADMIN"]], "add has ['NET_ADMIN']"),
    ("securityContext.capabilities.drop", ["NET_RAW"], "drop lacks ALL"),
    ("securityContext.capabilities", None, "drop lacks ALL"),
    ("securityContext.procMount", "Unmasked", "procMount is Unmasked"),
    ("securityContext.runAsNonRoot", False, "runAsNonRoot is not true"),
    ("securityContext.runAsUser", 0, "securityContext.runAsUser is 0"),
    ("securityContext.seccompProfile", {"type": "Unconfined"}, "seccompProfile.type is neither"),
    ("ports", [{"containerPort": 80}, {"containerPort": 81, "hostPort": 81}], "ports[1].hostPort is 81"),
    ("readinessProbe", None, "readinessProbe is missing"),
    ("readinessProbe.httpGet.host", "10.0.0.1", "readinessProbe.httpGet.host is set"),
    ("lifecycle.preStop.httpGet.host", "10.0.0.1", "lifecycle.preStop.httpGet.host is set"),
    ("resources", None, "resources.requests.cpu is missing"),
    ("resources.requests.cpu", None, "resources.requests.cpu is missing"),
    ("resources.requests.memory", None, "resources.requests.memory is missing"),
    ("resources.limits.memory", None, "resources.limits.memory is missing"),
    ("resources.limits", 3, "resources.limits is not a mapping"),
]


@pytest.mark.parametrize(("field", "value", "said"), OF_CONTAINER)
def test_container_is_refused_with_its_name_and_the_field(field: str, value: Any, said: str) -> None:
    found = texts(changed(DEPLOYMENT, f"{APP}.{field}", value), SERVICE)
    assert [
        one for one in found if one.startswith("m/x.yaml: Deployment web, container app: ") and said in one
    ]


@pytest.mark.parametrize("field", ["initContainers", "ephemeralContainers"])
def test_container_beside_the_serving_ones_is_looked_at_too(field: str) -> None:
    beside = {**DEPLOYMENT["spec"]["template"]["spec"]["containers"][0], "name": "first"}
    del beside["readinessProbe"]
    assert texts(changed(DEPLOYMENT, f"{POD}.{field}", [beside]), SERVICE) == []
    beside = changed(beside, "securityContext.privileged", True)
    (found,) = texts(changed(DEPLOYMENT, f"{POD}.{field}", [beside]), SERVICE)
    assert found.startswith("m/x.yaml: Deployment web, container first: securityContext.privileged is true")


@pytest.mark.parametrize(("field", "value"), [("runAsNonRoot", True), ("seccompProfile", SECCOMP)])
def test_word_of_the_container_stands_for_the_pods(field: str, value: Any) -> None:
    without = changed(DEPLOYMENT, f"{POD}.securityContext.{field}", None)
    assert [one for one in texts(without) if field in one]
    assert texts(changed(without, f"{APP}.securityContext.{field}", value)) == []


def test_readiness_is_asked_of_what_serves_alone() -> None:
    silent = changed(DEPLOYMENT, f"{APP}.readinessProbe", None)
    assert texts(silent) == []
    assert len(texts(silent, SERVICE)) == 1
    assert len(texts(silent, released=("web", "app"))) == 1
    assert texts(silent, changed(SERVICE, "spec.selector", {"app": "other"})) == []
    assert texts(silent, changed(SERVICE, "spec.selector", {})) == []


def test_account_of_the_manifests_may_have_a_token_and_another_may_not() -> None:
    named = changed(
        changed(DEPLOYMENT, f"{POD}.automountServiceAccountToken", None), f"{POD}.serviceAccountName", "web"
    )
    assert texts(named, ACCOUNT) == []
    assert len(texts(named)) == 1


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("type", "NodePort", "spec.type is NodePort"),
        ("type", "LoadBalancer", "spec.type is LoadBalancer"),
        ("type", "ExternalName", "spec.type is ExternalName"),
        ("externalIPs", ["10.0.0.1"], "spec.externalIPs is set"),
    ],
)
def test_service_that_is_reached_from_outside_is_refused(field: str, value: Any, said: str) -> None:
    (found,) = texts(changed(SERVICE, f"spec.{field}", value))
    assert found.startswith(f"m/x.yaml: Service web: {said}")


def test_service_within_the_cluster_passes() -> None:
    assert texts(changed(changed(SERVICE, "spec.type", "ClusterIP"), "spec.clusterIP", "None")) == []


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (changed(SERVICE, "apiVersion", "serving.knative.dev/v1"), "apiVersion is serving.knative.dev/v1"),
        (changed(SERVICE, "apiVersion", None), "apiVersion is null rather than v1"),
        (changed(SERVICE, "kind", "StatefulSet"), "there are no rules for kind StatefulSet"),
        (changed(ACCOUNT, "metadata.name", "slipway-infra"), "names that begin with slipway-"),
        *(
            (
                changed(DEPLOYMENT, "spec.template.metadata.labels", {key: "True"}),
                f"label {key} of its pods is one by which a release knows the pods that it made itself",
            )
            for key in ("kubernetes_pod_operator", "run_id", "slipway/purpose")
        ),
        (changed(ACCOUNT, "metadata.resourceVersion", "1"), "metadata.resourceVersion is set"),
        (changed(ACCOUNT, "metadata.finalizers", ["a/b"]), "metadata.finalizers is set"),
        (changed(DEPLOYMENT, "spec", None), "spec.template.spec.containers is empty"),
        (changed(DEPLOYMENT, "spec.template", 3), "spec.template is not a mapping"),
        (
            changed(
                DEPLOYMENT,
                "spec.template.metadata.annotations",
                {"container.apparmor.security.beta.kubernetes.io/app": "unconfined"},
            ),
            "is unconfined: it takes AppArmor away",
        ),
    ],
)
def test_object_that_is_none_of_ours_is_refused(one: Any, said: str) -> None:
    assert [text for text in texts(one) if said in text]


def test_object_that_is_there_twice_is_refused_with_both_files() -> None:
    found = policy.findings([("m/a.yaml", SERVICE), ("m/b.yaml", SERVICE), ("m/b.yaml", ACCOUNT)])
    assert [one.text for one in found] == ["m/b.yaml: Service web: it is in m/a.yaml, too"]


def test_image_of_another_container_must_be_pinned() -> None:
    assert texts(changed(DEPLOYMENT, f"{APP}.image", "web:latest"), released=("web", "app")) == []
    for image in ("proxy:latest", "proxy@sha256:0", 3):
        other = changed(changed(DEPLOYMENT, f"{APP}.image", image), f"{APP}.name", "proxy")
        assert texts(other, released=("web", "app")) == [
            f"m/x.yaml: Deployment web, container proxy: image {image} is not pinned by digest"
        ]


def test_all_findings_are_told_at_once_each_with_what_to_do() -> None:
    broken = changed(changed(DEPLOYMENT, f"{POD}.hostPID", True), f"{APP}.securityContext.privileged", True)
    with pytest.raises(
        PolicyFailed, match=r"^m/x\.yaml: Deployment web: spec\.template\.spec\.hostPID"
    ) as refused:
        policy.check([("m/x.yaml", broken), ("m/y.yaml", changed(SERVICE, "spec.type", "NodePort"))])
    assert refused.value.remedy == "leave it out"
    assert [line.partition(": spec")[0] for line in refused.value.lines] == [
        "m/x.yaml: Deployment web, container app: securityContext.privileged is true: it would be root on the node:"
        " leave it out",
        "m/y.yaml: Service web",
    ]


def test_findings_without_end_are_counted_rather_than_told() -> None:
    volumes = [{"name": f"v{i}", "hostPath": {}} for i in range(1000)]
    with pytest.raises(PolicyFailed) as refused:
        policy.check([("m/x.yaml", changed(DEPLOYMENT, f"{POD}.volumes", volumes))])
    assert (len(refused.value.lines), refused.value.lines[-1]) == (policy.SHOWN + 1, "and 969 more")


# --- anything at all ---
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the paths of all that a value holds."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [at for key, one in items for at in ((*path, key), *paths(one, (*path, key)))]


WHOLE = changed(
    changed(
        changed(DEPLOYMENT, f"{POD}.volumes", [{"name": "a", "projected": {"sources": [{"secret": {}}]}}]),
        f"{POD}.initContainers",
        [{"name": "first", "lifecycle": {"preStop": {"httpGet": {"host": ""}}}, "ports": [{"hostPort": 0}]}],
    ),
    f"{POD}.securityContext",
    {"sysctls": [{"name": "x"}], "windowsOptions": {}, "appArmorProfile": {}, "seLinuxOptions": {}},
)


def passes_or_is_refused(*objects: Any) -> None:
    refused = None
    try:
        policy.check([("m/x.yaml", one) for one in objects], released=("web", "app"))
    except PolicyFailed as e:
        refused = e
    assert refused is None or (refused.message.startswith("m/x.yaml: ") and refused.remedy)


@given(st.lists(VALUES, max_size=3))
def test_any_value_passes_or_is_refused(objects: list[Any]) -> None:
    passes_or_is_refused(*objects)


@settings(max_examples=500)
@given(st.data())
def test_anything_anywhere_in_a_manifest_passes_or_is_refused(data: st.DataObject) -> None:
    made = [copy.deepcopy(one) for one in (WHOLE, SERVICE, ACCOUNT)]
    for _ in range(data.draw(st.integers(1, 3))):
        i = data.draw(st.integers(0, 2))
        known = paths(made[i])
        if known:
            path = data.draw(st.sampled_from(known))
            made[i] = changed(made[i], path, data.draw(VALUES.filter(lambda one: one is not None)))
    passes_or_is_refused(*made)


@settings(max_examples=300)
@given(
    VALUES,
    st.sampled_from(["Deployment", "Service", "ConfigMap"]),
    st.sampled_from(["spec", "metadata", "data"]),
)
def test_any_file_is_loaded_or_refused(value: Any, kind: str, field: str) -> None:
    one = {"apiVersion": policy.API_VERSIONS[kind], "kind": kind, "metadata": {"name": "web"}, field: value}
    for content in (
        yaml.safe_dump(one, allow_unicode=True).encode("utf-8", "surrogatepass"),
        json.dumps(one).encode(),
    ):
        try:
            found = manifests.load({"m/x.yaml": content}, namespace="web", kinds=[kind])
        except PolicyFailed:
            continue
        assert [made["kind"] for made in found] == [kind]
        json.dumps(found, allow_nan=False)


@given(st.binary(max_size=64))
def test_any_bytes_are_loaded_or_refused(content: bytes) -> None:
    with pytest.raises(PolicyFailed):
        manifests.load({"m/x.yaml": content}, namespace="web", kinds=["ConfigMap"])
