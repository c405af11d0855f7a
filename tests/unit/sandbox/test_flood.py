"""What the flood sends: the same for the same seed, of every kind, and signed only where it says so."""

import random

from slipway.catalog.service import Cloned
from slipway.intake.receiving import Delivery, Receiver
from slipway_sandbox.flood import Sent, Source

SECRET = "whsec_c2VjcmV0"


def made(number: int) -> list[Sent]:
    source = Source(SECRET, random.Random(1))
    return [source.one() for _ in range(number)]


def test_each_kind_is_sent() -> None:
    kinds = {one.kind for one in made(500)}
    assert kinds == {
        "signed",
        "again",
        "forged",
        "tampered",
        "garbage",
        "malformed",
        "other",
        "unknown",
        "cut",
    }


def test_what_is_signed_and_nothing_else_is_taken() -> None:
    kept: list[Delivery] = []
    source = Cloned(repository="services/links", branch="main")
    receiver = Receiver("links", (SECRET,), lambda: source, "http://git.example", kept.append)
    for one in made(500):
        if one.kind in ("cut", "garbage", "unknown"):  # these are not for the receiver, or not for this one
            continue
        lines = one.head.decode("latin-1").split("\r\n")[1:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        before = len(kept)
        answer = receiver.receive(headers, one.body)
        assert answer.status in one.wanted, (one.kind, answer)
        assert len(kept) - before == (one.kind in ("signed", "again"))
