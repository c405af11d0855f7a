"""The registry: what a name leads to, and that "it cannot be read" is not taken for "it is not there"."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from slipway.adapters.registry import Registry, fitting
from slipway.errors import Permanent, Transient

OCI = "application/vnd.oci.image.{}.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.{}v2+json"
KINDS = {
    "oci": (OCI.format("index"), OCI.format("manifest")),
    "docker": (DOCKER.format("list."), DOCKER.format("")),
}
KINDS["mixed"] = (KINDS["oci"][0], KINDS["docker"][1])
AMD64 = {"os": "linux", "architecture": "amd64"}


class Stored:
    """A registry's answers, by method and path."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        monkeypatch.setattr(requests, "request", self._request)

    def _request(self, method: str, url: str, **_: Any) -> requests.Response:
        answer = requests.Response()
        answer.status_code, headers, content = self.answers.get(url.partition("/v2/")[2], (404, {}, b"{}"))
        answer.headers.update(headers)
        answer._content = b"" if method == "HEAD" else content
        return answer

    def put(self, path: str, body: Any, kind: str, status: int = 200, **headers: str) -> str:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        headers = {"Content-Type": kind, "Docker-Content-Digest": digest, **headers}
        folder, _, name = path.rpartition("/")
        for one in (name, digest):
            self.answers[f"{folder}/{one}"] = (status, headers, content)
        return digest

    def image(self, kind: str, tag: str = "one", on: dict[str, str] = AMD64, **labels: str) -> str:
        config = self.put("web/blobs/x", {**on, "config": {"Labels": labels}}, "application/octet-stream")
        manifest = {
            "schemaVersion": 2,
            "mediaType": kind,
            "config": {"digest": config, "size": 7},
            "layers": [{"size": 30}, {"size": 5}],
        }
        return self.put(f"web/manifests/{tag}", manifest, kind)

    def index(self, kind: str, *entries: dict[str, Any], tag: str = "all") -> str:
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": list(entries)}
        return self.put(f"web/manifests/{tag}", index, kind)


def attested(of: str) -> dict[str, Any]:
    """Give the entry of an attestation, as BuildKit writes it."""
    return {
        "digest": f"sha256:{'3' * 64}",
        "size": 560,
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {
            "vnd.docker.reference.digest": of,
            "vnd.docker.reference.type": "attestation-manifest",
        },
    }


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> Stored:
    return Stored(monkeypatch)


REGISTRY = Registry("registry:5000", "push", "hunter2")


def test_password_is_not_in_what_is_shown_of_it() -> None:
    assert "hunter2" not in repr(REGISTRY)


@pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("by", ["tag", "digest"])
def test_index_with_provenance_is_followed_to_the_platforms_image(
    stored: Stored, kinds: tuple[str, str], by: str
) -> None:
    index, manifest = kinds
    one = stored.image(manifest, base="debian")
    named = stored.index(index, attested(one), {"digest": one, "platform": AMD64})
    image = REGISTRY.image("web", "all" if by == "tag" else named)
    assert image is not None
    assert (image.labels, image.size) == ({"base": "debian"}, 42)
    assert (image.digest, image.name_digest, image.is_single) == (one, named, False)


@pytest.mark.parametrize("kind", ["oci", "docker"])
def test_image_that_is_named_itself(stored: Stored, kind: str) -> None:
    one = stored.image(KINDS[kind][1])
    image = REGISTRY.image("web", "one")
    assert image is not None
    assert (image.digest, image.labels, image.platform, image.is_single) == (one, {}, "linux/amd64", True)


def test_of_several_platforms_it_is_the_configured_one(stored: Stored) -> None:
    arm = {"os": "linux", "architecture": "arm64", "variant": "v8"}
    entries = [
        {"digest": stored.image(KINDS["oci"][1], on=on, of=on["architecture"]), "platform": on}
        for on in (AMD64, arm)
    ]
    stored.index(KINDS["oci"][0], *entries)
    for platform, of in (
        ("linux/amd64", "amd64"),
        ("linux/arm64", "arm64"),
        ("linux/arm64/v8", "arm64"),
    ):
        image = Registry("registry:5000", "push", "x", platform=platform).image("web", "all")
        assert image is not None
        assert image.labels == {"of": of}
    with pytest.raises(
        Permanent, match=r"without an image for linux/s390x: it has linux/amd64, linux/arm64/v8"
    ):
        Registry("registry:5000", "push", "x", platform="linux/s390x").image("web", "all")


def test_index_that_names_no_platform_is_followed_by_what_its_images_say(stored: Stored) -> None:
    one = stored.image(KINDS["oci"][1], "a", on={"os": "linux", "architecture": "arm64"})
    two = stored.image(KINDS["oci"][1], "b", of="amd64")
    inner = stored.index(KINDS["oci"][0], {"digest": one}, {"digest": two}, tag="inner")
    stored.index(KINDS["oci"][0], {"digest": inner, "platform": AMD64})
    image = REGISTRY.image("web", "all")
    assert image is not None
    assert image.digest == two


def test_what_is_not_there_is_none(stored: Stored) -> None:
    assert (REGISTRY.image("web", "one"), REGISTRY.digest("web", "one")) == (None, None)


def test_image_without_labels_is_there(stored: Stored) -> None:
    stored.image(KINDS["oci"][1])
    assert REGISTRY.image("web", "one") is not None


@pytest.mark.parametrize(
    ("kind", "header", "says"),
    [
        (
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            None,
            r"manifest\.v1\+prettyjws: neither",
        ),
        (OCI.format("manifest"), OCI.format("index"), "index.* or .*manifest.*: neither"),
        ("text/plain", None, "text/plain: neither"),
    ],
)
def test_kind_that_is_not_known_is_named(stored: Stored, kind: str, header: str | None, says: str) -> None:
    body = {"schemaVersion": 2, "mediaType": kind, "manifests": [], "layers": []}
    stored.put("web/manifests/odd", body, header or kind)
    with pytest.raises(Permanent, match=says):
        REGISTRY.image("web", "odd")


def test_oci_manifest_need_not_name_its_kind(stored: Stored) -> None:
    config = stored.put("web/blobs/x", AMD64, "application/octet-stream")
    body = {"schemaVersion": 2, "config": {"digest": config, "size": 7}, "layers": []}
    stored.put("web/manifests/short", body, f"{OCI.format('manifest')}; charset=utf-8")
    image = REGISTRY.image("web", "short")
    assert image is not None
    assert (image.size, image.labels) == (7, {})


def test_artifact_without_configuration_is_no_image(stored: Stored) -> None:
    kind = KINDS["oci"][1]
    stored.put("web/manifests/a", {"schemaVersion": 2, "mediaType": kind, "layers": []}, kind)
    with pytest.raises(Permanent, match="it is no image"):
        REGISTRY.image("web", "a")


@pytest.mark.parametrize("part", ["manifest", "config"])
def test_image_in_pieces_is_not_taken_for_none(stored: Stored, part: str) -> None:
    index, kind = KINDS["oci"]
    one = stored.image(kind)
    stored.index(index, {"digest": one, "platform": AMD64})
    gone = f"web/manifests/{one}"
    if part == "config":
        gone = f"web/blobs/{json.loads(stored.answers[gone][2])['config']['digest']}"
    del stored.answers[gone]
    with pytest.raises(Permanent, match=r"is there, but sha256:\w+, which it names, is not"):
        REGISTRY.image("web", "all")


@pytest.mark.parametrize("content", [b"<html>", b"[]", b""])
def test_other_content_than_was_asked_for_is_transient(stored: Stored, content: bytes) -> None:
    one = stored.image(KINDS["oci"][1])
    stored.put("web/manifests/two", content, KINDS["oci"][1])
    with pytest.raises(Transient, match="something else than was asked for"):
        REGISTRY.image("web", "two")
    status, headers, right = stored.answers[f"web/manifests/{one}"]
    stored.answers[f"web/manifests/{one}"] = (status, headers, right + b" ")
    with pytest.raises(Transient, match="something else than was asked for"):
        REGISTRY.image("web", one)


def test_page_of_a_proxy_that_says_404_is_not_the_registrys_word(stored: Stored) -> None:
    stored.put("web/manifests/one", b"<html>", "text/html; charset=utf-8", status=404)
    for ask in (REGISTRY.image, REGISTRY.digest):
        with pytest.raises(Transient, match="answered 404"):
            ask("web", "one")


def test_digest_is_that_of_the_content_where_no_header_says_it(stored: Stored) -> None:
    one = stored.image(KINDS["oci"][1])
    del stored.answers["web/manifests/one"][1]["Docker-Content-Digest"]
    assert REGISTRY.digest("web", "one") == one


def test_tags_of_all_pages_are_given(stored: Stored) -> None:
    pages = {"web/tags/list": ["a", "b"], "web/tags/list?last=b&n=2": ["c"]}
    link = '</v2/web/tags/list?last=b&n=2>; rel="next"'
    for path, tags in pages.items():
        headers = {"Link": link}  # also of the last page: an answer that turns in a circle has an end
        stored.answers[path] = (200, headers, json.dumps({"name": "web", "tags": tags}).encode())
    assert REGISTRY.tags("web") == ["a", "b", "c"]


words = st.sampled_from(["linux", "windows", "amd64", "arm64", "unknown", "v7", "v8"])
platforms = st.fixed_dictionaries({}, optional={"os": words, "architecture": words, "variant": words})
entries = st.fixed_dictionaries(
    {"digest": st.uuids().map(str)},
    optional={
        "platform": platforms,
        "annotations": st.just({"vnd.docker.reference.type": "attestation-manifest"}),
    },
)


@given(st.lists(entries, unique_by=lambda one: one["digest"]))
def test_neither_another_platform_nor_an_attestation_is_ever_chosen(manifests: list[dict[str, Any]]) -> None:
    chosen = fitting(manifests, "linux/amd64")
    for one in manifests:
        on = one.get("platform") or {}
        if one["digest"] in chosen:
            assert "annotations" not in one
            assert not on or (on.get("os"), on.get("architecture")) == ("linux", "amd64")
        elif (on.get("os"), on.get("architecture")) == ("linux", "amd64"):
            assert "annotations" in one
