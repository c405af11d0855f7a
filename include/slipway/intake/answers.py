"""What a delivery is answered. The code is stable; who is not known to be a forge of the service learns nothing from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from slipway.errors import plain


class Code(StrEnum):
    """Which answer it is; docs/webhooks.md lists them."""

    ACCEPTED = "delivery.accepted"
    PING = "delivery.ping"
    OTHER_EVENT = "delivery.other-event"
    OTHER_REF = "delivery.other-ref"
    OTHER_REPOSITORY = "delivery.other-repository"
    DELETED = "delivery.deleted"
    NO_CHANGE = "delivery.no-change"
    MALFORMED = "delivery.malformed"
    REFUSED = "delivery.refused"
    TOO_SLOW = "delivery.too-slow"
    TOO_LARGE = "delivery.too-large"
    TOO_MANY = "delivery.too-many"
    NOT_VERIFIABLE = "delivery.not-verifiable"


_STATUS = {
    Code.ACCEPTED: 202,
    Code.MALFORMED: 400,
    Code.REFUSED: 401,
    Code.TOO_SLOW: 408,
    Code.TOO_LARGE: 413,
    Code.TOO_MANY: 429,
    Code.NOT_VERIFIABLE: 503,
}
"""Anything else is of no interest, which is no fault of the forge: GitLab switches a hook off after four failures in a row."""


@dataclass(frozen=True)
class Answer:
    """What is answered."""

    code: Code
    detail: str

    @property
    def status(self) -> int:
        """Give the HTTP status."""
        return _STATUS.get(self.code, 200)

    def show(self) -> dict[str, str]:
        """Give it as the body of the answer; what it repeats of a delivery is bounded."""
        return {"code": self.code.value, "detail": plain(self.detail, 300)}


REFUSED = Answer(Code.REFUSED, "the delivery is not signed as a hook of this service is")
"""The one answer to all who are not known: also where there is no such service, no secret, or no known scheme."""
TOO_SLOW = Answer(Code.TOO_SLOW, "the body did not arrive in time")
TOO_LARGE = Answer(Code.TOO_LARGE, "the body is larger than any delivery")
TOO_MANY = Answer(Code.TOO_MANY, "too many deliveries at once: try again later")
NOT_VERIFIABLE = Answer(Code.NOT_VERIFIABLE, "deliveries cannot be taken now: try again later")
