"""One delivery: from its raw body to an answer, and a durable row if it is a push to a release branch.

The order is the point: signature over the raw body, replay, parse, match, row, answer. Nothing of a body is looked at before
who sent it is known.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from slipway.catalog.service import Cloned
from slipway.intake.answers import REFUSED, Answer, Code
from slipway.intake.forge import Event, Forge, Headers, Malformed, Moved
from slipway.intake.gitea import Gitea
from slipway.intake.github import GitHub
from slipway.intake.gitlab import GitLab
from slipway.intake.plain import Plain

FORGES: tuple[type[Forge], ...] = (Gitea, GitLab, GitHub, Plain)
"""Those that send others' headers beside their own come first."""
DELIVERY_MOST = 200
_NOBODYS = "whsec_bm9ib2R5IGtub3dzIHRoaXMgb25lLCBhbmQgaXQgaXMgbmV2ZXIgcmlnaHQ="
"""What a delivery is held against where there is no secret, so that it takes as long as where there is one."""


@dataclass(frozen=True)
class Delivery:
    """A push that a forge has told of, as it is put on record.

    :param id: the forge's own: the same delivery is on record once.
    :param told: the commit that the forge names; which one is released, git says.
    """

    service: str
    forge: str
    id: str
    ref: str
    told: str


@dataclass(frozen=True)
class Receiver:
    """Takes deliveries for one service.

    :param secrets: those that are valid now: one, or two while they are rotated; none if there is no such service.
    :param source: where the service's code is; asked once the sender is known.
    :param git_url: the platform's, below which short names lie.
    :param keep: puts a delivery on record; it is durable when this returns. The same one again changes nothing.
    """

    service: str
    secrets: Sequence[str]
    source: Callable[[], Cloned]
    git_url: str
    keep: Callable[[Delivery], None]

    def receive(self, headers: Headers, body: bytes) -> Answer:
        """Take one delivery.

        :param headers: by their names in lower case. :param body: as it came; its size is bounded before.
        """
        forge = next((one for one in FORGES if one.sent(headers)), None)
        if forge is None or not self._signed(forge, headers, body):
            return REFUSED
        delivery = forge.delivery(headers)
        if not 0 < len(delivery) <= DELIVERY_MOST or not delivery.isprintable():
            return Answer(Code.MALFORMED, "the delivery has no id")
        try:
            said = forge.read(headers, body)
        except Malformed as e:
            return Answer(Code.MALFORMED, str(e))
        if isinstance(said, Event):
            if said.is_ping:
                return Answer(Code.PING, f"this hook starts releases of {self.service}")
            return Answer(
                Code.OTHER_EVENT, f"event {said.name or 'without a name'} is of no interest: push is"
            )
        source = self.source()
        if why := uninteresting(said, source, self.git_url):
            return why
        assert said.after is not None
        self.keep(Delivery(self.service, forge.name, delivery, said.ref, said.after))
        return Answer(Code.ACCEPTED, f"{said.ref} is looked at, and what it is at is released")

    def _signed(self, forge: type[Forge], headers: Headers, body: bytes) -> bool:
        # all of them, whichever is right: how many there are, and which it was, is nobody's to learn
        found = [forge.signed(headers, body, one) for one in self.secrets or (_NOBODYS,)]
        return any(found) and bool(self.secrets)


def uninteresting(moved: Moved, source: Cloned, git_url: str) -> Answer | None:
    """Give why a push starts nothing; None if it may. Pure."""
    if not is_of(moved.repository, source.url(git_url)):
        return Answer(
            Code.OTHER_REPOSITORY,
            f"repository {moved.repository} is not the service's, {source.repository}; if it was renamed, correct the catalog",
        )
    if moved.ref != f"refs/heads/{source.branch}":
        return Answer(Code.OTHER_REF, f"{moved.ref} is not released: refs/heads/{source.branch} is")
    if moved.after is None:
        return Answer(Code.DELETED, f"{moved.ref} was deleted: nothing is released, what is deployed stays")
    if moved.after == moved.before:
        return Answer(Code.NO_CHANGE, f"{moved.ref} has not moved")
    return None


def is_of(full_name: str, url: str) -> bool:
    """Tell whether a forge's name of a repository, with owner or groups, is that of the repository at a URL.

    A forge may lie below a path of its host; owners' names have no case.
    """
    path = urlsplit(url).path.removesuffix("/").removesuffix(".git").casefold()
    return path.endswith(f"/{full_name.strip('/').casefold()}") and bool(full_name.strip("/"))
