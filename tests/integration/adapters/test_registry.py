"""The registry: the digest of a tag, and the difference between none, not allowed and not there."""

from __future__ import annotations

import hashlib
import json
import secrets
import socket
from collections.abc import Callable

import pytest

from slipway.adapters.registry import Registry
from slipway.errors import Permanent, Transient
from slipway_sandbox import images as builder
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part, Sandbox

Account = Callable[[str], tuple[str, str]]


@pytest.fixture
def registry(sandbox: Sandbox, parts: dict[str, Part], account: Account) -> Registry:
    return Registry(sandbox.registry, *account("pull"), sandbox.registry_ca)


def test_known_tag_has_its_digest(registry: Registry, images: dict[str, str]) -> None:
    tag = builder.keys()["base-python"]
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


def pushed(sandbox: Sandbox, account: Account, repository: str, tag: str) -> str:
    """Push an image without layers; give its digest."""
    http, base = session(str(sandbox.registry_ca)), f"https://{sandbox.registry}/v2/{repository}"
    http.auth = account("push")
    config = json.dumps({"config": {"Labels": {"of": tag}}}).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    place = http.post(f"{base}/blobs/uploads/", timeout=20).headers["Location"]
    place = place if place.startswith("https://") else f"https://{sandbox.registry}{place}"
    assert http.put(f"{place}&digest={digest}", data=config, timeout=20).status_code == 201
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    image = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": digest, "size": 7}
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": image, "layers": []}
    put = http.put(f"{base}/manifests/{tag}", json=manifest, headers={"Content-Type": kind}, timeout=20)
    assert put.status_code == 201, put.text
    return put.headers["Docker-Content-Digest"]


def test_image_is_listed_described_and_removed_with_its_tags(
    sandbox: Sandbox, parts: dict[str, Part], account: Account
) -> None:
    registry = Registry(sandbox.registry, *account("push"), sandbox.registry_ca)
    repository = f"trial/{secrets.token_hex(4)}"
    assert registry.tags(repository) == []
    digest, other = (pushed(sandbox, account, repository, tag) for tag in ("one", "two"))
    assert registry.tags(repository) == ["one", "two"]
    assert registry.labels(repository, digest) == {"of": "one"}
    assert registry.size(repository, digest) == 7
    assert registry.delete(repository, digest)
    assert not registry.delete(repository, digest)
    assert (registry.digest(repository, "one"), registry.digest(repository, "two")) == (None, other)
    assert registry.tags(repository) == ["two"]
    assert (registry.labels(repository, digest), registry.size(repository, digest)) == ({}, 0)
    assert registry.delete(repository, other)


def test_account_that_may_only_pull_removes_nothing(registry: Registry, images: dict[str, str]) -> None:
    name, _, digest = images["base-python"].partition("@")
    with pytest.raises(Permanent, match=r"refuses the account pull .403."):
        registry.delete(name.partition("/")[2], digest)
    assert registry.size(name.partition("/")[2], digest) > 1_000_000
