"""The registry: the digest of a tag, and the difference between none, not allowed and not there."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
from collections.abc import Callable
from typing import Any

import pytest

from slipway.adapters.registry import Registry
from slipway.errors import Permanent, Transient
from slipway.toolboxes.recipes import Recipes
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part, Sandbox

Account = Callable[[str], tuple[str, str]]


@pytest.fixture
def registry(sandbox: Sandbox, parts: dict[str, Part], account: Account) -> Registry:
    return Registry(sandbox.registry, *account("pull"), sandbox.registry_ca)


def test_known_tag_has_its_digest(registry: Registry, images: dict[str, str]) -> None:
    tag = Recipes.of().keys()["base-python"]
    assert registry.digest("slipway/base-python", tag) == images["base-python"].partition("@")[2]


@pytest.mark.parametrize("repository", ["slipway/base-python", "slipway/nobody-pushed-this"])
def test_unknown_tag_has_none(registry: Registry, repository: str) -> None:
    assert registry.digest(repository, "no-such-tag") is None


def test_refused_login_is_permanent_and_keeps_the_password_to_itself(sandbox: Sandbox) -> None:
    with pytest.raises(Permanent, match=r"refuses the account push .401.") as caught:
        Registry(sandbox.registry, "push", "wrong-secret", sandbox.registry_ca).digest("slipway/x", "1")
    assert "wrong-secret" not in str(caught.value)


def test_registry_that_is_not_there_is_transient(sandbox: Sandbox, account: Account) -> None:
    with socket.socket() as free:  # bound, but nobody listens
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(Transient, match="does not answer"):
            Registry(address, *account("pull"), sandbox.registry_ca).digest("slipway/base-python", "1")


def test_certificate_of_an_unknown_authority_is_not_trusted(sandbox: Sandbox, account: Account) -> None:
    with pytest.raises(Transient, match="certificate"):
        Registry(sandbox.registry, *account("pull")).digest("slipway/base-python", "1")


class Pushing:
    """A client that pushes what it is told to a repository of its own, of any kind."""

    def __init__(self, sandbox: Sandbox, account: tuple[str, str]) -> None:
        self.repository = f"trial/{secrets.token_hex(4)}"
        self.host = f"https://{sandbox.registry}"
        self.http, self.base = session(str(sandbox.registry_ca)), f"{self.host}/v2/{self.repository}"
        self.http.auth = account

    def blob(self, content: bytes) -> str:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        place = self.http.post(f"{self.base}/blobs/uploads/", timeout=20).headers["Location"]
        place = place if place.startswith("https://") else f"{self.host}{place}"
        assert self.http.put(f"{place}&digest={digest}", data=content, timeout=20).status_code == 201
        return digest

    def manifest(self, tag: str, kind: str, **body: Any) -> str:
        body = {"schemaVersion": 2, "mediaType": kind, **body}
        put = self.http.put(
            f"{self.base}/manifests/{tag}", json=body, headers={"Content-Type": kind}, timeout=20
        )
        assert put.status_code == 201, put.text
        return put.headers["Docker-Content-Digest"]

    def image(self, tag: str, kind: str = "application/vnd.docker.distribution.manifest.v2+json") -> str:
        """Push an image without layers; give its digest."""
        config = json.dumps({"os": "linux", "architecture": "amd64", "config": {"Labels": {"of": tag}}})
        media = "application/vnd.docker.container.image.v1+json"
        part = {"mediaType": media, "digest": self.blob(config.encode()), "size": len(config)}
        return self.manifest(tag, kind, config=part, layers=[])


@pytest.fixture
def pushing(sandbox: Sandbox, parts: dict[str, Part], account: Account) -> Pushing:
    return Pushing(sandbox, account("push"))


def test_image_is_listed_described_and_removed_with_its_tags(
    sandbox: Sandbox, account: Account, pushing: Pushing
) -> None:
    registry = Registry(sandbox.registry, *account("push"), sandbox.registry_ca)
    repository = pushing.repository
    assert registry.tags(repository) == []
    digest, other = (pushing.image(tag) for tag in ("one", "two"))
    assert registry.tags(repository) == ["one", "two"]
    image = registry.image(repository, digest)
    assert image is not None
    assert (image.labels, image.platform, image.is_single) == ({"of": "one"}, "linux/amd64", True)
    assert image.size > 7
    assert registry.delete(repository, digest)
    assert not registry.delete(repository, digest)
    assert (registry.digest(repository, "one"), registry.digest(repository, "two")) == (None, other)
    assert registry.tags(repository) == ["two"]
    assert registry.image(repository, digest) is None
    assert registry.delete(repository, other)


def test_index_with_provenance_is_followed_to_the_platforms_image(
    sandbox: Sandbox, account: Account, pushing: Pushing
) -> None:
    registry, oci = (
        Registry(sandbox.registry, *account("push"), sandbox.registry_ca),
        "application/vnd.oci.image.",
    )
    one = pushing.image("one", f"{oci}manifest.v1+json")
    # as BuildKit attests: an image of in-toto statements for a platform that nobody has
    statement = {
        "mediaType": "application/vnd.in-toto+json",
        "digest": pushing.blob(b'{"_type": "statement"}'),
        "size": 22,
    }
    config = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": pushing.blob(b'{"architecture": "unknown", "os": "unknown"}'),
        "size": 44,
    }
    attestation = pushing.manifest("attestation", f"{oci}manifest.v1+json", config=config, layers=[statement])
    of = {"vnd.docker.reference.digest": one, "vnd.docker.reference.type": "attestation-manifest"}
    entry = {"mediaType": f"{oci}manifest.v1+json", "size": 1}
    index = pushing.manifest(
        "all",
        f"{oci}index.v1+json",
        manifests=[
            {**entry, "digest": attestation, "platform": {"architecture": "unknown", "os": "unknown"}, "annotations": of},
            {**entry, "digest": one, "platform": {"architecture": "amd64", "os": "linux"}},
        ],
    )  # fmt: skip
    for reference in ("all", index):
        image = registry.image(pushing.repository, reference)
        assert image is not None
        assert (image.digest, image.name_digest, image.labels) == (one, index, {"of": "one"})
        assert image.size > 7
        assert not image.is_single
    assert registry.digest(pushing.repository, "all") == index
    assert registry.delete(pushing.repository, index)
    for digest in (attestation, one):
        assert registry.delete(pushing.repository, digest)


def test_account_that_may_only_pull_removes_nothing(registry: Registry, images: dict[str, str]) -> None:
    name, _, digest = images["base-python"].partition("@")
    with pytest.raises(Permanent, match=r"refuses the account pull .403."):
        registry.delete(name.partition("/")[2], digest)
    image = registry.image(name.partition("/")[2], digest)
    assert image is not None
    assert image.size > 1_000_000
