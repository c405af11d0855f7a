"""GitLab's deliveries: https://docs.gitlab.com/user/project/integrations/webhook_events/#push-events."""

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
    same,
)


class Project(Said):
    """A project, with its groups."""

    path_with_namespace: RepositoryName


class Push(Said):
    """A push to a branch or a tag."""

    ref: Ref
    before: Hash
    after: Hash
    project: Project


class GitLab(Forge):
    """GitLab: signed by Standard Webhooks with its signing token, or with the old secret token in a header.

    The old token says nothing of the body: who has seen one delivery can make others. They would only wake.
    """

    name: ClassVar[str] = "gitlab"

    @classmethod
    def sent(cls, headers: Headers) -> bool:
        """Tell whether it has GitLab's headers."""
        return "x-gitlab-event" in headers

    @classmethod
    def signed(cls, headers: Headers, body: bytes, secret: str) -> bool:
        """Tell whether it is signed; where there is a signature, the token beside it counts for nothing."""
        if standard.SIGNATURE in headers:
            return standard.signed(headers, body, secret)
        return same(headers.get("x-gitlab-token", ""), secret)

    @classmethod
    def delivery(cls, headers: Headers) -> str:
        """Give the id of the delivery: the same in each of GitLab's own tries."""
        if standard.SIGNATURE in headers:
            return headers[standard.ID]
        return headers.get("idempotency-key") or headers.get("x-gitlab-event-uuid", "")

    @classmethod
    def read(cls, headers: Headers, body: bytes) -> Moved | Event:
        """Give what it says."""
        event = headers["x-gitlab-event"]
        if event not in ("Push Hook", "Tag Push Hook"):
            return Event(event)
        push = parsed(Push, body)
        assert isinstance(push, Push)
        return Moved(push.project.path_with_namespace, push.ref, push.before, gone(push.after))
