"""Pods are replaced when what they read has changed, and only then; the plan says which and why."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from slipway.release import manifests, reads

VERSION = "version 7 of 2026-11-26T14:00:00.1Z"


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def deployment(**pod: Any) -> dict[str, Any]:
    container = {"name": "app", "image": "app", **pod.pop("container", {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"template": {"spec": {"containers": [container], **pod}}},
    }


EVERY_WAY = deployment(
    container={
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "s"}}],
        "env": [
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "b", "key": "k"}}},
            {"name": "T", "valueFrom": {"secretKeyRef": {"name": "t", "key": "k"}}},
            {"name": "PLAIN", "value": "x"},
        ],
    },
    initContainers=[
        {"name": "first", "image": f"x@sha256:{'2' * 64}", "envFrom": [{"configMapRef": {"name": "c"}}]}
    ],
    volumes=[
        {"name": "d", "configMap": {"name": "d"}},
        {"name": "u", "secret": {"secretName": "u"}},
        {"name": "p", "projected": {"sources": [{"configMap": {"name": "e"}}, {"secret": {"name": "v"}}]}},
        {"name": "tmp", "emptyDir": {}},
    ],
)


def release(*objects: dict[str, Any], commit: str = "c" * 40, version: str = VERSION) -> list[dict[str, Any]]:
    return manifests.release_of(
        objects,
        deployment="web",
        container="app",
        image=f"r/web@sha256:{'1' * 64}",
        commit=commit,
        service="web",
        secrets={"s": version},
    )


def template(objects: list[dict[str, Any]]) -> Any:
    (found,) = [one for one in objects if one["kind"] == "Deployment"]
    return found["spec"]["template"]


def test_every_way_to_read_is_found() -> None:
    names = {f"ConfigMap/{one}" for one in "abcde"} | {f"Secret/{one}" for one in "stuv"}
    assert reads.references(EVERY_WAY) == names
    assert reads.references(config_map("a")) == set()


READER = deployment(container={"envFrom": [{"configMapRef": {"name": "web"}}, {"secretRef": {"name": "s"}}]})


@given(
    st.dictionaries(st.sampled_from("ABC"), st.text(max_size=3), max_size=3),
    st.dictionaries(st.sampled_from("ABC"), st.text(max_size=3), max_size=3),
)
def test_the_template_is_another_exactly_if_what_is_read_is(
    one: dict[str, str], other: dict[str, str]
) -> None:
    first, second = (template(release(READER, config_map("web", **data))) for data in (one, other))
    assert (first == second) == (one == other)


def test_what_nobody_reads_replaces_nothing() -> None:
    first = release(READER, config_map("web"), config_map("other", A="1"))
    labelled = config_map("web")
    labelled["metadata"]["labels"] = {"a": "b"}
    assert template(first) == template(release(READER, labelled, config_map("other", A="2")))


def test_another_version_in_vault_is_another_template_and_no_secret_is_in_it() -> None:
    first = release(READER, config_map("web"))
    assert reads.recorded(first[0])["Secret/s"] == VERSION
    assert template(first) != template(release(READER, config_map("web"), version="version 8 of x"))
    assert reads.of_secret(first, "s") == VERSION
    assert reads.of_secret(first, "t") is None
    plain = [copy.deepcopy(READER)]
    assert reads.of_secret(plain, "s") is None


def test_an_annotation_that_was_copied_is_not_believed() -> None:
    copied = copy.deepcopy(deployment())
    copied["spec"]["template"]["metadata"] = {"annotations": {reads.ANNOTATION: "{"}}
    assert reads.ANNOTATION not in template(release(copied))["metadata"]["annotations"]


def told(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[str]:
    return reads.pods(before, after, reads.known(after, {"s": ""}))


def test_the_plan_says_whether_pods_are_replaced_and_why() -> None:
    first = release(READER, config_map("web", A="1"))
    assert told([], first) == ["Deployment/web: pods are made"]
    assert told(first, first) == ["Deployment/web: pods stay: nothing that they run with is another"]
    other = release(READER, config_map("web", A="2"), version="version 8 of x")
    assert told(first, other) == [
        "Deployment/web: pods are replaced: ConfigMap/web changed, Secret/s changed"
    ]
    newer = release(READER, config_map("web", A="1"), commit="d" * 40)
    assert told(first, newer) == ["Deployment/web: pods are replaced: commit dddddddddddd"]
    scaled = copy.deepcopy(first)
    template(scaled)["spec"]["containers"][0]["image"] = "x"
    assert told(first, scaled) == ["Deployment/web: pods are replaced: their template or image changed"]


def test_what_is_not_of_the_release_is_named() -> None:
    found = release(EVERY_WAY, config_map("a"))
    assert [one for one in told([], found) if "Secret/t" in one] == [
        "Deployment/web: a change of Secret/t alone would replace no pod: it is not of this release"
    ]
    assert not [one for one in told([], found) if "ConfigMap/a" in one or "Secret/s" in one]
