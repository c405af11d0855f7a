"""GitHub's deliveries: https://docs.github.com/en/webhooks/webhook-events-and-payloads#push."""

from __future__ import annotations

from typing import ClassVar

from slipway.intake.forge import (
    Event,
    Forge,
    Hash,
    Headers,
    Moved,
    Ref,
    RepositoryName,
    Said,
    gone,
    hexadecimal,
    parsed,
    same,
    unwrapped,
)


class FullName(Said):
    """A repository, with its owner's name."""

    full_name: RepositoryName


class Push(Said):
    """A push, to a branch or a tag; Gitea sends the same."""

    ref: Ref
    before: Hash
    after: Hash
    repository: FullName

    def moved(self) -> Moved:
        """Give what has moved."""
        return Moved(self.repository.full_name, self.ref, self.before, gone(self.after))


class GitHub(Forge):
    """GitHub: HMAC-SHA256 of the raw body. It has no time in it; the id of a delivery is not signed."""

    name: ClassVar[str] = "github"

    @classmethod
    def sent(cls, headers: Headers) -> bool:
        """Tell whether it has GitHub's headers."""
        return "x-hub-signature-256" in headers

    @classmethod
    def signed(cls, headers: Headers, body: bytes, secret: str) -> bool:
        """Tell whether the signature is that of the body."""
        return same(headers["x-hub-signature-256"], f"sha256={hexadecimal(secret, body)}")

    @classmethod
    def delivery(cls, headers: Headers) -> str:
        """Give the GUID of the delivery."""
        return headers.get("x-github-delivery", "")

    @classmethod
    def read(cls, headers: Headers, body: bytes) -> Moved | Event:
        """Give what it says. A branch or tag that is made or deleted is told by a push, too."""
        event = headers.get("x-github-event", "")
        if event != "push":
            return Event(event, is_ping=event == "ping")
        push = parsed(Push, unwrapped(headers, body))
        assert isinstance(push, Push)
        return push.moved()
