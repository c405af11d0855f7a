"""Which images a Dockerfile stands on, and which of the platform's copies stand for them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import PolicyFailed
from slipway.release.bases import Named, familiar, last, named, resolved

DOCKERFILE = """# syntax=docker/dockerfile:1
ARG PYTHON=3.12 VARIANT
FROM --platform=$BUILDPLATFORM node:22-alpine AS Web
RUN <<EOF
FROM nothing:here
EOF
FROM python:${PYTHON}-slim AS build
COPY --from=web /app /app
COPY --from=ghcr.io/astral-sh/uv:0.9 \\
    /uv /bin/
RUN --mount=type=bind,from=registry.example/tools@sha256:12,source=/x echo FROM x
ARG PYTHON=2
FROM scratch
COPY --from=0 / /
FROM build
FROM $VARIANT
FROM ${MISSING:-debian:bookworm-slim}
"""


def test_every_image_is_found_once_with_its_line_and_no_stage_is() -> None:
    assert named(DOCKERFILE, {"VARIANT": "golang"}) == [
        Named(3, "node:22-alpine"),
        Named(7, "python:3.12-slim"),
        Named(9, "ghcr.io/astral-sh/uv:0.9"),
        Named(11, "registry.example/tools@sha256:12"),
        Named(16, "golang"),
        Named(17, "debian:bookworm-slim"),
    ]
    assert named(DOCKERFILE, {"PYTHON": "3.13"})[1] == Named(7, "python:3.13-slim")


def test_image_below_the_released_stage_is_followed_through_other_stages() -> None:
    text = "ARG V=1\nFROM node:$V AS build\nFROM docker.io/library/debian AS own\nFROM own AS last\nFROM scratch\n"
    assert last(text, {}) is None
    assert last(text, {}, "Last") == "debian:latest"
    assert last(text, {"V": "24"}, "build") == "node:24"
    assert last("", {}) is None


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("python", "python:latest"),
        ("docker.io/library/python:3.12", "python:3.12"),
        ("library/node", "node:latest"),
        ("docker.io/bitnami/redis", "bitnami/redis:latest"),
        ("localhost:5000/x", "localhost:5000/x:latest"),
        ("python@sha256:12", "python@sha256:12"),
    ],
)
def test_names_are_known_as_people_write_them(name: str, known: str) -> None:
    assert familiar(name) == known


BASES = {"python:3.11-slim": "p311@1", "python:3.11*": "p311full@1", "python:*": "any@1", "node:22": "n22@1"}


def test_a_name_of_its_own_goes_before_patterns_and_a_longer_pattern_before_a_shorter() -> None:
    names = ["python:3.11-slim", "python:3.11.4", "python", "docker.io/library/node:22"]
    found = resolved("Dockerfile", [Named(1, name) for name in names], BASES)
    assert list(found.values()) == ["p311@1", "p311full@1", "any@1", "n22@1"]


def test_a_name_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        PolicyFailed, match="Dockerfile:4: this platform has no copy of the image node:20"
    ) as refused:
        resolved("Dockerfile", [Named(4, "node:20")], BASES)
    assert "build on node:22" in refused.value.remedy


def test_alpine_is_refused_with_why_and_with_the_small_image_of_the_same_version() -> None:
    bases = dict.fromkeys(["node:24", "node:24-slim", "node:20-slim", "python:3.11-slim"], "r")
    with pytest.raises(
        PolicyFailed, match=r"node:24-alpine3\.22: its copies are Debian, which knows no apk"
    ) as one:
        resolved("Dockerfile", [Named(1, "node:24-alpine3.22")], bases)
    assert "build on node:24-slim, node:24" in str(one.value)
    with pytest.raises(PolicyFailed, match="no copy of the image alpine:3: its copies"):
        resolved("Dockerfile", [Named(1, "alpine:3")], bases)


LINES = [*DOCKERFILE.splitlines(keepends=True), "\\\n", "<<EOF\n", "FROM\n", "COPY --from= x\n"]


@given(st.lists(st.sampled_from(LINES)))
def test_any_order_of_lines_is_read_to_its_end(lines: list[str]) -> None:
    for one in named("".join(lines), {}):
        assert one.name
        assert 1 <= one.line <= len(lines) + 1
