"""What the forges have in common: how a delivery is known, how it is held against its signature, and what it says.

One module for each forge has the rest; :data:`slipway.intake.receiving.FORGES` lists them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar
from urllib.parse import parse_qs

from pydantic import BaseModel, Field, ValidationError

REF_MOST = 4_096
"""Characters of a ref that are read: git's own bound is that of a path."""

Headers = Mapping[str, str]
"""A delivery's headers, by their names in lower case."""


@dataclass(frozen=True)
class Moved:
    """A ref has moved, by the forge's word: which, in which repository, from where to where.

    :param after: what it points to now; None if it is gone. A hint: what is released is asked of git.
    """

    repository: str
    ref: str
    before: str
    after: str | None


@dataclass(frozen=True)
class Event:
    """Something else has happened, or the hook is tried out."""

    name: str
    is_ping: bool = False


class Malformed(Exception):
    """A signed delivery does not say what its kind says."""


class Said(BaseModel, extra="ignore", frozen=True):
    """What is read of a delivery's body; a forge may add to it at any time."""


Ref = Annotated[str, Field(min_length=1, max_length=REF_MOST)]
Hash = Annotated[str, Field(pattern="^([0-9a-f]{40}|[0-9a-f]{64})$")]
RepositoryName = Annotated[str, Field(min_length=1, max_length=1_000)]


class Forge:
    """One kind of forge."""

    name: ClassVar[str]

    @classmethod
    def sent(cls, headers: Headers) -> bool:
        """Tell whether a delivery with these headers claims to be of this kind."""
        raise NotImplementedError

    @classmethod
    def signed(cls, headers: Headers, body: bytes, secret: str) -> bool:
        """Tell whether the delivery was made by who knows the secret and, where its scheme has a time, just now."""
        raise NotImplementedError

    @classmethod
    def delivery(cls, headers: Headers) -> str:
        """Give the id of the delivery: another try of the same one has the same."""
        raise NotImplementedError

    @classmethod
    def read(cls, headers: Headers, body: bytes) -> Moved | Event:
        """Give what the delivery says.

        :raises Malformed: if it cannot be read.
        """
        raise NotImplementedError


def same(one: str, other: str) -> bool:
    """Compare in a time that does not tell how much agrees; headers may hold anything."""
    return hmac.compare_digest(one.encode(), other.encode())


def hexadecimal(secret: str, body: bytes) -> str:
    """Give the HMAC-SHA256 of a body in hexadecimal digits, as GitHub and Gitea sign."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def parsed(model: type[Said], body: bytes) -> Said:
    """Give what a body in JSON says.

    :raises Malformed: if that is something else.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as e:
        # never its values: what is answered is kept in forges' logs
        first = e.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(one) for one in first["loc"]) or "the body"
        raise Malformed(f"{where}: {first['msg']}") from e


def unwrapped(headers: Headers, body: bytes) -> bytes:
    """Give the JSON of a body that may be sent as a form, in its field `payload`: GitHub's and Gitea's other content type.

    :raises Malformed: if the form has no such field.
    """
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return body
    try:
        return parse_qs(body.decode(), strict_parsing=True, max_num_fields=10)["payload"][0].encode()
    except (ValueError, KeyError) as e:
        raise Malformed("the form has no field `payload`") from e


def gone(after: str) -> str | None:
    """Give a hash, or None for the zeros that stand for a ref that is gone."""
    return after if after.strip("0") else None
