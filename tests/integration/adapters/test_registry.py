"""The registry: the digest of a tag, and the difference between none, not allowed and not there."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from slipway.adapters.registry import Registry
from slipway.errors import Permanent, Transient
from slipway_sandbox import images as builder
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
    with pytest.raises(Permanent, match=r"refuses push .401.") as caught:
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
