"""Bases get what Debian has newer: an image upon each, found by the digest that the platform file names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.adapters.engine import Made
from slipway.errors import Transient
from slipway.stages import renewal

DEBIAN = f"r:5000/slipway/library-debian@sha256:{'1' * 64}"
PYTHON = f"r:5000/slipway/base-python@sha256:{'2' * 64}"
STANDS_ON = ["base-python", "debian:12", "elsewhere:1", "docker.io/library/debian:bookworm"]
DATED = SimpleNamespace(published="")
SERVICES: Any = [SimpleNamespace(service="web", image=SimpleNamespace(repository="web"))]
SIMULATED = """Reading package lists...
Inst libssl3 [3.0.17-1] (3.0.22-1~deb12u2 Debian-Security:12/oldstable-security [amd64])
Inst new (1.0 Debian:12 [amd64]) []
Conf libssl3 (3.0.22-1~deb12u2 Debian-Security:12/oldstable-security [amd64])
"""


def test_what_apt_would_install_is_read() -> None:
    assert renewal.upgrades(SIMULATED) == [
        renewal.Upgrade("libssl3", "3.0.17-1", "3.0.22-1~deb12u2"),
        renewal.Upgrade("new", "", "1.0"),
    ]
    assert renewal.upgrades("0 upgraded, 0 newly installed\n") == []


class Registry:
    """Tags of one repository each, and what was pushed."""

    platform = "linux/amd64"

    def __init__(self) -> None:
        self.tags: dict[tuple[str, str], str] = {}
        self.kept: dict[str, Any] = {}

    def digest(self, repository: str, tag: str) -> str | None:
        return self.tags.get((repository, tag))

    def image(self, _repository: str, digest: str) -> Any:
        if not digest.startswith("sha256:"):
            return self.kept.get(digest)
        labels = {renewal.BASES: json.dumps(dict.fromkeys(STANDS_ON, "r"))}
        return SimpleNamespace(digest=digest, user="10001", labels=labels)

    def extend(self, _repository: str, _digest: str, _layers: Any, *, tags: list[str], labels: Any) -> str:
        self.kept[tags[0]] = SimpleNamespace(labels=labels)
        return "sha256:kept"

    def layout(self, _repository: str, _digest: str) -> Any:
        raise AssertionError  # the builder's to ask

    def push(self, repository: str, tag: str, layout: Any) -> str:
        self.tags[repository, tag] = layout
        return str(layout)


class Engine:
    """Builds what it is told, and remembers it."""

    def __init__(self) -> None:
        self.built: list[Any] = []

    def build(self, _place: Any, context: Any, recipe: Any, **_: Any) -> Made:
        self.built.append((context.read(), recipe))
        return Made("sha256:new", (), {})

    def archive(self, *_: Any) -> Any:
        yield b""

    def __getattr__(self, _name: str) -> Callable[..., None]:
        return lambda *_a, **_k: None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Any:
    packages = SimpleNamespace(debian="http://d", debian_security="http://s", container="edge", hosts=())
    platform = SimpleNamespace(
        image=lambda name: PYTHON if name == "base-python" else f"r:5000/slipway/{name}@sha256:3",
        base_images={"debian:12": DEBIAN, "debian:bookworm": DEBIAN},
        registry=SimpleNamespace(address="r:5000"),
        packages=packages,
        environment="staging",
    )
    monkeypatch.setattr(renewal.refreshes, "active", lambda *_: SimpleNamespace(digest="sha256:deployed"))
    monkeypatch.setattr(renewal.advisories, "known", lambda *_: {"Debian": DATED} if DATED.published else {})
    DATED.published = ""
    registry, engine = Registry(), Engine()
    monkeypatch.setattr(renewal.oci_layout, "unpack", lambda _tar, _folder, digest: digest)
    from datetime import UTC, datetime

    return SimpleNamespace(
        platform=lambda: platform,
        registry=lambda: (registry, {}),
        engine=lambda: engine,
        now=lambda: datetime(2026, 1, 1, tzinfo=UTC),
        ledger=lambda: None,
    )


def simulated(monkeypatch: pytest.MonkeyPatch, *texts: str | Exception | None) -> None:
    """Give what apt says of each base, in the order of their names; None: there is no apt."""
    left = list(texts)

    def fetched(*_: Any, **__: Any) -> dict[str, bytes]:
        said = left.pop(0)
        if isinstance(said, Exception):
            raise said
        return {"none": b""} if said is None else {"simulated": said.encode()}

    monkeypatch.setattr(renewal, "fetched", fetched)


def test_base_that_debian_has_newer_packages_of_is_renewed_once(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, engine = world.registry()[0], world.engine()
    before = renewal.tonight(world.platform(), lambda: registry)
    assert before == {"base-python": PYTHON, "debian:12": DEBIAN, "debian:bookworm": DEBIAN}
    simulated(monkeypatch, "", SIMULATED)
    done = renewal.renew(world, SERVICES)
    assert done.failed == ()
    assert done.said == (
        "debian:12, docker.io/library/debian:bookworm: 2 packages renewed "
        "(libssl3 3.0.17-1 -> 3.0.22-1~deb12u2, new  -> 1.0), is sha256:new now",
    )
    [(context, recipe)] = engine.built
    assert b"FROM base" in context
    assert b"USER 10001" in context
    assert recipe.labels == {renewal.RENEWS: DEBIAN.partition("@")[2]}
    after = renewal.tonight(world.platform(), lambda: registry)
    assert after["debian:12"] == "r:5000/slipway/library-debian@sha256:new"
    assert after["base-python"] == PYTHON
    simulated(monkeypatch, "", "")
    assert renewal.renew(world, SERVICES).said == ("the bases have what Debian has",)


def test_base_is_looked_at_once_for_each_state_of_debians_lists(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    DATED.published = "2026-01-01"
    simulated(monkeypatch, "", "")
    renewal.renew(world, SERVICES)
    simulated(monkeypatch)  # nothing is asked
    renewal.renew(world, SERVICES)
    DATED.published = "2026-01-02"
    simulated(monkeypatch, Transient("apt is away", code="packages.client-failed"), "")
    assert len(renewal.renew(world, SERVICES).failed) == 1
    simulated(monkeypatch, "")  # what failed is asked again, and nothing else
    assert not renewal.renew(world, SERVICES).failed


def test_what_nothing_stands_on_is_not_looked_at(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renewal.refreshes, "active", lambda *_: None)
    simulated(monkeypatch)
    assert renewal.renew(world, SERVICES).said == ("the bases have what Debian has",)


def test_base_that_is_no_debian_is_left_and_one_that_cannot_be_looked_at_keeps_no_other_from_it(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated(monkeypatch, Transient("apt is away", code="packages.client-failed"), None)
    done = renewal.renew(world, SERVICES)
    assert [one.message for one in done.failed] == ["apt is away"]
    assert done.said == (
        "base-python: not renewed: apt is away",
        "debian:12, docker.io/library/debian:bookworm: is no Debian: it is renewed where it comes from",
    )


def test_platform_without_proxies_of_debian_renews_nothing_and_asks_no_registry(world: Any) -> None:
    platform = world.platform()
    platform.packages.debian = None

    def asked() -> Any:
        raise AssertionError

    assert renewal.tonight(platform, asked)["debian:12"] == DEBIAN
    assert "nothing renews" in renewal.renew(world, SERVICES).said[0]


def test_name_that_is_another_base_has_another_tag() -> None:
    assert renewal._tag(DEBIAN) != renewal._tag(PYTHON)
    assert isinstance(renewal._context({"a": "b"}), io.BytesIO)
