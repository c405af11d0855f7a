"""Deliveries of a plain git server, by the hook `post-receive` beside this file; docs/webhooks.md says how to set it up."""

from __future__ import annotations

from typing import ClassVar

from slipway.intake import standard
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
    parsed,
)


class Push(Said):
    """What the hook says of one ref."""

    ref: Ref
    before: Hash
    after: Hash
    repository: RepositoryName


class Plain(Forge):
    """Plain git: signed by Standard Webhooks."""

    name: ClassVar[str] = "git"

    @classmethod
    def sent(cls, headers: Headers) -> bool:
        """Tell whether it is signed so."""
        return standard.SIGNATURE in headers

    @classmethod
    def signed(cls, headers: Headers, body: bytes, secret: str) -> bool:
        """Tell whether it is signed with the secret, just now."""
        return standard.signed(headers, body, secret)

    @classmethod
    def delivery(cls, headers: Headers) -> str:
        """Give the id of the delivery."""
        return headers[standard.ID]

    @classmethod
    def read(cls, headers: Headers, body: bytes) -> Moved | Event:
        """Give what it says."""
        push = parsed(Push, body)
        assert isinstance(push, Push)
        return Moved(push.repository, push.ref, push.before, gone(push.after))
