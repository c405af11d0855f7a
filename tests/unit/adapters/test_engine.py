"""What pushed code can make a worker keep."""

from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.adapters.engine import _GONE, bounded, failed_by_step, failed_step, is_unreachable


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


def test_a_build_that_fails_names_its_instruction() -> None:
    said = [
        "#9 [builder 6/7] COPY nowhere /app/smoke",
        '#9 ERROR: "/nowhere" not found: not found',
        "------",
        " > [builder 6/7] COPY nowhere /app/smoke:",
        "------",
        'failed to compute cache key: "/nowhere" not found: not found',
    ]
    assert failed_step(said) == 'COPY nowhere /app/smoke: "/nowhere" not found: not found'
    assert failed_step(["#1 done", "Dockerfile parse error line 3"]) == "Dockerfile parse error line 3"
    assert failed_step([]) == ""


@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("unexpected EOF", True),  # seen of an engine that was stopped while it built
        ("ERROR: failed to solve: rpc error: code = Unavailable desc = error reading from server: EOF", True),
        ("Cannot connect to the Docker daemon at unix:///x.sock. Is the docker daemon running?", True),
        (
            "failed to dial gRPC: cannot connect to the Docker daemon. Is 'docker daemon' running on this host?",
            True,
        ),
        ("#6 0.412 tarfile.ReadError: unexpected EOF", False),
        ("#6 0.412 rpc error: code = Unavailable", False),
        ("  rpc error: code = Unavailable", False),
        ("executor failed running [/bin/sh -c exit 7]: exit code: 7", False),
    ],
)
def test_an_engine_that_went_away_is_told_from_what_a_step_of_a_build_says(line: str, gone: bool) -> None:
    assert bool(_GONE.match(line)) is gone


UNREACHED = (
    "ERROR: failed to solve: 10.0.0.1:5000/base@sha256:0: failed to resolve source metadata for base: failed to do request: "
    'Head "https://10.0.0.1:5000/v2/": dial tcp 10.0.0.1:5000: connect: connection refused'
)


@pytest.mark.parametrize(
    "last",
    [
        'ERROR: failed to solve: process "/bin/sh -c code = Unavailable; exit 1" did not complete successfully: exit code: 1',
        "executor failed running [/bin/sh -c echo dial tcp: i/o timeout; exit 7]: exit code: 7",
        '… of a very long command" did not complete successfully: exit code: 137',
    ],
)
def test_no_words_of_a_step_that_fails_make_it_a_fault_of_the_platform(last: str) -> None:
    printed = [
        "0.1 unexpected EOF",
        "0.2 rpc error: code = Unavailable",
        "0.3 buildx component is missing",
        UNREACHED,
    ]
    assert failed_by_step([*printed, "------", last])


def test_no_words_of_a_step_that_passed_make_another_fault_one_of_the_platform() -> None:
    printed = ["#7 0.1 dial tcp: connection refused", "#7 0.2 #8 ERROR: dial tcp", "0.3 TLS handshake"]
    missing = 'ERROR: failed to solve: failed to compute cache key: "/dial tcp" not found: not found'
    assert not failed_by_step([*printed, missing])
    assert not is_unreachable([*printed, missing])
    assert not is_unreachable(
        ['ERROR: failed to solve: failed to parse stage name "i/o timeout\\": x": invalid']
    )
    assert not is_unreachable([])


def test_registry_that_does_not_answer_is_the_platforms() -> None:
    assert not failed_by_step([UNREACHED])
    assert is_unreachable([UNREACHED])
    assert is_unreachable(
        ["#3 ERROR: failed to do request: i/o timeout", "------", "ERROR: failed to solve: base"]
    )
