"""What a pushed Dockerfile may take its contents from."""

from pathlib import Path

import base_images
import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLES = Path(__file__).parents[3] / "examples"
HEAD = "ARG BASE_PYTHON\nFROM ${BASE_PYTHON} AS one\n"


def rules(text: str) -> list[str]:
    return [f"{one.line}: {one.rule}" for one in base_images.findings("Dockerfile", text)]


@pytest.mark.parametrize("name", ["ai-generation", "prompt-library"])
def test_the_examples_are_built_from_what_the_pipeline_gives(name: str) -> None:
    assert rules((EXAMPLES / name / "Dockerfile").read_text()) == []


@pytest.mark.parametrize(
    "line",
    [
        "FROM $BASE_PYTHON",
        "FROM --platform=linux/amd64 ${BASE_PYTHON} as two",
        "FROM One AS two",
        "FROM scratch",
        "COPY --from=one /a /b",
        "COPY --from=0 /a /b",
        "COPY --chown=1:1 a.tar /b",
        "RUN --mount=type=bind,from=one,target=/x true",
        "RUN --mount=type=cache,target=/x true",
        "RUN git clone https://example.org/it # the build has no network: it fails there",
        "ADD a.tar.gz /b",
        "# FROM example/comment",
        "RUN a \\\n# FROM example/comment in a continuation\n  && b",
    ],
)
def test_given_images_and_earlier_stages_are_fine(line: str) -> None:
    assert rules(HEAD + line + "\n") == []


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("FROM python:3.11", "3: base-image"),
        ("from\tpython:3.11", "3: base-image"),
        ("FROM --platform=linux/amd64 python AS two", "3: base-image"),
        ("FR\\\nOM python", "3: base-image"),
        ("ARG X=python\nFROM ${X}", "4: base-image"),
        ("FROM ${BASE_PYTHON:-python}", "3: base-image"),
        ("FROM ${BASE_PYTHON}:latest", "3: base-image"),
        ("FROM two\nFROM scratch AS two", "3: base-image"),
        ("COPY --from=python /a /b", "3: copied-image"),
        ("COPY --fr\\\nom=python /a /b", "3: copied-image"),
        ("COPY --fr\\om=python /a /b", "3: odd-flag"),
        ("RUN --mount=type=bind,FROM=python,target=/x true", "3: copied-image"),
        ('RUN --mount=type=bind,"from=python" true', "3: odd-flag"),
        ("ADD https://example.org/a /b", "3: add-address"),
        ("ARG X=https://example.org/a\nADD $X /b", "4: add-address"),
        ("ADD git@example.org:a /b", "3: add-address"),
        ("ONBUILD RUN true", "3: onbuild"),
        ("RUN <<'E\\'\nE\\\nFROM python", "3: here-document"),
        ("# syntax=example/builder", "3: no-syntax-line"),
        ("// syntax = example/builder", "3: no-syntax-line"),
        ("# escape=`", "3: no-escape-line"),
        ("RUN a \\\\", "3: odd-continuation"),
        ("FROM\x0bpython", "3: control-character"),
    ],
)
def test_anything_else_is_refused_with_its_line(line: str, rule: str) -> None:
    found = rules(HEAD + line + "\n")
    assert rule in found, found


def test_builder_named_by_json_is_refused() -> None:
    assert "1: no-syntax-line" in rules('{"syntax": "example/builder"}')


@given(st.text())
def test_any_text_is_read_without_breaking(text: str) -> None:
    assert base_images.findings("Dockerfile", "FROM python\n" + text)
