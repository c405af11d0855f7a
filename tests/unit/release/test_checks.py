"""An answer is held against what the catalog wants of it, whatever the service answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog.service import Check
from slipway.release.checks import is_commit, named, unmet

COMMIT = "0123456789abcdef0123456789abcdef01234567"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def check(**words: Any) -> Check:
    return Check(path="/health", **words)


@pytest.mark.parametrize(
    ("wanted", "status", "body", "lacks"),
    [
        (check(), 200, b"", None),
        (check(), 503, b"starting", "/health answers 503 starting"),
        (check(status=204), 204, b"", None),
        (check(status=401), 200, b"hello", "/health answers 200, and not 401: hello"),
        (check(holds={"/status": "ok"}), 200, b'{"status": "ok"}', None),
        (
            check(holds={"/status": "ok"}),
            200,
            b'{"status": "bad"}',
            '/health has "bad" at /status, and not "ok"',
        ),
        (check(holds={"/a/0/b": 1}), 200, b'{"a": [{"b": 1}]}', None),
        (check(holds={"/up": True}), 200, b'{"up": 1}', "/health has 1 at /up, and not true"),
        (check(holds={"/up": 1}), 200, b'{"up": true}', "/health has true at /up, and not 1"),
        (check(holds={"/a": 1}), 200, b"no JSON", "/health has nothing at /a, and not 1"),
        (check(holds={"/a": 1}), 200, b"[" * 100_000, "/health has nothing at /a, and not 1"),
    ],
)
def test_what_an_answer_lacks_is_told(wanted: Check, status: int, body: bytes, lacks: str | None) -> None:
    assert unmet(wanted, status, body) == lacks


@given(JSON | st.binary(max_size=20), st.sampled_from(["/a", "/0", "/a/0", "/~0/~1"]))
def test_any_answer_is_judged(answer: Any, pointer: str) -> None:
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    lacks = unmet(check(holds={pointer: "x"}), 200, body)
    assert lacks is None or pointer in lacks


@pytest.mark.parametrize(
    ("told", "is_it"),
    [
        (COMMIT, True),
        (COMMIT[:7], True),
        (COMMIT[:6], False),
        ("", False),
        (COMMIT + "0", False),
        ("f" * 40, False),
        (1234567, False),
        (None, False),
    ],
)
def test_commit_is_known_in_full_or_by_its_first_digits(told: Any, is_it: bool) -> None:
    body = json.dumps({"build": {"git": told}}).encode()
    assert is_commit(body, "/build/git", COMMIT) is is_it


@pytest.mark.parametrize("body", [b"", b"no JSON", b"[]", b'"x"', b"{}", b"\xff"])
def test_answer_that_names_no_commit_names_none(body: bytes) -> None:
    assert named(body, "/commit") is None
    assert not is_commit(body, "/commit", COMMIT)
