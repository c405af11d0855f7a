"""Gitea's and Forgejo's deliveries: https://docs.gitea.com/usage/webhooks; they send GitHub's headers beside their own."""

from __future__ import annotations

from typing import ClassVar

from slipway.intake.forge import Event, Forge, Headers, Moved, hexadecimal, parsed, same, unwrapped
from slipway.intake.github import Push


class Gitea(Forge):
    """Gitea and Forgejo: the bare HMAC-SHA256 of the raw body. A deleted branch is an event `delete` and no push."""

    name: ClassVar[str] = "gitea"
    prefixes: ClassVar[tuple[str, ...]] = ("x-forgejo", "x-gitea")

    @classmethod
    def _header(cls, headers: Headers, name: str) -> str:
        return next((headers[key] for prefix in cls.prefixes if (key := f"{prefix}-{name}") in headers), "")

    @classmethod
    def sent(cls, headers: Headers) -> bool:
        """Tell whether it has Gitea's or Forgejo's headers."""
        return any(f"{prefix}-signature" in headers for prefix in cls.prefixes)

    @classmethod
    def signed(cls, headers: Headers, body: bytes, secret: str) -> bool:
        """Tell whether the signature is that of the body."""
        return same(cls._header(headers, "signature"), hexadecimal(secret, body))

    @classmethod
    def delivery(cls, headers: Headers) -> str:
        """Give the UUID of the delivery; one that is sent again by hand has another."""
        return cls._header(headers, "delivery")

    @classmethod
    def read(cls, headers: Headers, body: bytes) -> Moved | Event:
        """Give what it says."""
        event = cls._header(headers, "event")
        if event != "push":
            return Event(event, is_ping=event == "ping")
        push = parsed(Push, unwrapped(headers, body))
        assert isinstance(push, Push)
        return push.moved()
