"""What pushed code can make a worker keep."""

from itertools import repeat

from hypothesis import given
from hypothesis import strategies as st

from slipway.adapters.engine import bounded


@given(st.lists(st.text(max_size=20)))
def test_output_within_the_bounds_comes_whole(texts: list[str]) -> None:
    chunks = [text.encode("utf-8", "replace") for text in texts]
    assert b"".join(bounded(chunks, head=500, tail=500)) == b"".join(chunks)


def test_of_endless_output_beginning_and_end_are_kept_and_the_rest_is_counted() -> None:
    chunks = [b"first\n", *repeat(b"x" * 100, 1000), b"last\n"]
    given = list(bounded(chunks, head=1000, tail=300))
    said = b"".join(given)
    assert len(said) < 2000
    assert said.startswith(b"first\n")
    assert said.endswith(b"last\n")
    left_out = int(said.decode().partition("\n… ")[2].partition(" ")[0])
    assert left_out + said.count(b"x") == 100_000


def test_a_character_that_is_split_between_chunks_stays_whole() -> None:
    assert b"".join(bounded(["é".encode()[:1], "é".encode()[1:], b"\xff"])) == "é\ufffd".encode()
