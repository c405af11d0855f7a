"""The front door over HTTP: size and rate before the signature, and an answer to whatever comes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from slipway.catalog.service import Cloned
from slipway.errors import Transient
from slipway.intake import bounds
from slipway.intake.receiving import Delivery
from slipway.intake.secrets import Keyring
from slipway_hooks import Catalog, Front, routes

SECRET = "whsec_c2VjcmV0"
BODY = json.dumps(
    {
        "ref": "refs/heads/main",
        "before": "a" * 40,
        "after": "b" * 40,
        "repository": {"full_name": "services/links"},
    }
).encode()


class Known(Catalog):
    def has(self, service: str) -> bool:
        return service == "links"

    def get(self, service: str) -> Any:
        return SimpleNamespace(source=Cloned(repository="services/links", branch="main"))

    def platform(self) -> Any:
        return SimpleNamespace(git=SimpleNamespace(url="http://git.example"))


class Scene:
    def __init__(self, **limits: Any) -> None:
        self.kept: list[Delivery] = []
        self.woken = 0
        self.error: Exception | None = None
        keyring = Keyring(self.read, lambda: 0.0, Known().has)
        bounded = bounds.Bounds(lambda: 0.0, **limits)
        front = Front(Known(), keyring, self.keep, self.wake, bounded)
        app = FastAPI()
        app.include_router(routes(lambda: front))
        self.http = TestClient(app)

    def read(self, _path: str) -> dict[str, str]:
        if self.error:
            raise self.error
        return {"current": SECRET}

    def keep(self, delivery: Delivery) -> None:
        assert self.woken == len(self.kept)  # on record first, then whoever works it off is woken
        self.kept.append(delivery)

    def wake(self) -> None:
        self.woken += 1

    def post(self, body: Any = BODY, service: str = "links", **headers: str) -> tuple[int, str]:
        signature = hmac.new(
            SECRET.encode(), body if isinstance(body, bytes) else b"", hashlib.sha256
        ).hexdigest()
        known = {
            "X-Hub-Signature-256": f"sha256={signature}",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": "1",
        }
        answer = self.http.post(f"/hooks/{service}", content=body, headers=known | headers)
        return answer.status_code, answer.json()["code"]


def test_signed_push_is_on_record_and_somebody_is_woken() -> None:
    scene = Scene()
    assert scene.post() == (202, "delivery.accepted")
    assert (len(scene.kept), scene.woken) == (1, 1)


@pytest.mark.parametrize("service", ["other", "li%6eks2", "a" * 500, "l\u00efnks"])
def test_unknown_service_answers_as_a_wrong_signature_does(service: str) -> None:
    scene = Scene()
    assert scene.post(service=service) == scene.post(**{"X-Hub-Signature-256": "sha256=00"})
    assert scene.kept == []


def test_too_large_a_body_is_refused_by_what_is_said_and_by_what_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bounds, "BODY_MOST", 1000)
    scene = Scene()
    assert scene.post(b"x" * 1001) == (413, "delivery.too-large")
    assert scene.post(iter([b"x" * 600] * 3)) == (413, "delivery.too-large")
    assert scene.post() == (202, "delivery.accepted")


def test_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "BODY_S", 0.01)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/hooks/links",
        "headers": [],
        "client": ("127.0.0.1", 1),
    }
    front = Front(
        Known(),
        Keyring(lambda _path: {}, lambda: 0.0, Known().has),
        [].append,
        list,
        bounds.Bounds(lambda: 0.0),
    )
    answer = asyncio.run(front.deliver("links", Request(scope, asyncio.Event().wait)))
    assert answer.status == 408


def test_too_many_deliveries_are_told_to_come_again() -> None:
    scene = Scene(source=(1, 3))
    assert [scene.post()[0] for _ in range(5)] == [202, 202, 202, 429, 429]
    answer = scene.http.post("/hooks/links", content=b"")
    assert answer.headers["retry-after"] == "5"


def test_nobody_is_refused_for_a_fault_of_ours_and_nothing_is_said_of_it() -> None:
    scene = Scene()
    scene.error = Transient("Vault at 10.0.0.7 is away", code="vault.failed")
    assert scene.post() == (503, "delivery.not-verifiable")
    assert "10.0.0.7" not in scene.http.post("/hooks/links", content=BODY).text


def test_catalog_reads_a_service_again_when_its_file_has_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = (Path(__file__).parents[3] / "include/services/links.yaml").read_text()
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path))
    catalog = Catalog()
    assert not catalog.has("links")
    assert not catalog.has("../links")
    (tmp_path / "links.yaml").write_text(text)
    assert catalog.has("links")
    assert catalog.get("links") is catalog.get("links")
    before = catalog.get("links")
    (tmp_path / "links.yaml").write_text(text + "\n# changed\n")
    assert catalog.get("links") is not before
