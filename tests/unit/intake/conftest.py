"""Deliveries in the form that each forge documents (Gitea's are recorded), and a receiver that keeps what it took."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from slipway.catalog.service import Cloned
from slipway.intake.answers import Answer
from slipway.intake.receiving import Delivery, Receiver

HERE = Path(__file__).parent
SECRET = "whsec_c2VjcmV0IG9mIHRoZSBzZXJ2aWNlIGxpbmtzLCAzMiBieXRlcw=="
OTHER = "whsec_YW5vdGhlciBzZWNyZXQgd2hpY2ggaXMgbm90IGl0cyBvd24sIG5v"


def by_github(headers: dict[str, str], body: bytes, secret: str) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {**headers, "x-hub-signature-256": f"sha256={made}"}


def by_gitea(headers: dict[str, str], body: bytes, secret: str) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        **headers,
        "x-gitea-signature": made,
        "x-gogs-signature": made,
        "x-hub-signature-256": f"sha256={made}",
    }


def by_forgejo(headers: dict[str, str], body: bytes, secret: str) -> dict[str, str]:
    made = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    renamed = {key.replace("x-gitea-", "x-forgejo-"): value for key, value in headers.items()}
    return {**renamed, **headers, "x-gitea-signature": made, "x-forgejo-signature": made}


def by_standard(
    headers: dict[str, str], body: bytes, secret: str, at: datetime | None = None, delivery: str = "msg_1"
) -> dict[str, str]:
    at = at or datetime.now(UTC)
    signature = Webhook(secret).sign(delivery, at, body.decode())
    return {
        **headers,
        "webhook-id": delivery,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }


def by_token(headers: dict[str, str], body: bytes, secret: str) -> dict[str, str]:
    return {**headers, "x-gitlab-token": secret}


SIGNERS: dict[str, Callable[[dict[str, str], bytes, str], dict[str, str]]] = {
    "github": by_github,
    "gitlab": by_standard,
    "gitlab-token": by_token,
    "gitea": by_gitea,
    "forgejo": by_forgejo,
    "git": by_standard,
}


@dataclass
class Door:
    """A receiver of the service `links`, and what it has put on record."""

    kept: list[Delivery] = field(default_factory=list)
    receiver: Receiver = field(init=False)

    def __post_init__(self) -> None:
        source = Cloned(repository="services/links", branch="main")
        self.receiver = Receiver(
            "links", (SECRET,), lambda: source, "http://git.example:3000", self.kept.append
        )

    def having(self, **changes: Any) -> Door:
        self.receiver = replace(self.receiver, **changes)
        return self

    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        return self.receiver.receive(headers, body)

    def told(self, scheme: str, name: str, secret: str = SECRET, **changes: object) -> Answer:
        """Take a delivery that is signed as the scheme does, with these words of its body changed."""
        headers, body = delivery(name, **changes)
        return self.take(SIGNERS[scheme](headers, body, secret), body)


def delivery(name: str, **changes: object) -> tuple[dict[str, str], bytes]:
    found = json.loads((HERE / "deliveries" / f"{name}.json").read_text())
    return found["headers"], json.dumps({**found["body"], **changes}).encode()


@pytest.fixture
def door() -> Door:
    return Door()
