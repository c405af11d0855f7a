"""Versions of gates and image are told where they are not the same, and only where both are known."""

from __future__ import annotations

import json

import pytest

from slipway.release import runtimes


def node(**said: object) -> dict[str, bytes]:
    return {"package.json": json.dumps(said).encode()}


@pytest.mark.parametrize(
    ("stack", "last", "files", "said"),
    [
        ("python", "python:3.11-slim", {}, ""),
        ("python", "python:3.13-slim", {}, "python:3.13-slim, and the gates run Python 3.11"),
        ("python", "python:3-slim", {}, ""),
        ("python", "python:slim", {}, ""),
        ("python", "debian:12", {}, ""),
        ("python", None, {}, ""),
        ("node", "node:24-slim", {}, ""),
        (
            "node",
            "node:22-slim",
            {},
            "node:22-slim, and the gates run Node 24 (nothing in the project says which",
        ),
        ("node", "node:22.3-slim", {".nvmrc": b"v22.1.0\n"}, ""),
        ("node", "node:24", {".nvmrc": b"lts/jod"}, "Node 22 (.nvmrc says lts/jod)"),
        (
            "node",
            "node:24",
            node(engines={"node": "^20.1"}),
            "Node 20 (`engines` of package.json says ^20.1)",
        ),
        ("node", "node:24", node(engines={"node": ">=18"}), ""),
        ("node", "node:22", node(engines={"node": ">=24"}), "Node 24 (`engines` of package.json says >=24)"),
        ("node", "node:20", node(engines={"node": ">=18 <21 || >=22"}), ""),
        ("node", "node:20", {"package.json": b"no JSON"}, "Node 24"),
        ("java", "eclipse-temurin:17", {}, ""),
    ],
)
def test_difference_is_told(stack: str, last: str | None, files: dict[str, bytes], said: str) -> None:
    found = runtimes.told(stack, last, [], files)
    assert said in found if said else found == ""


def test_go_is_held_to_the_image_that_compiles_it() -> None:
    assert runtimes.told("go", None, ["golang:1.27", "debian:12"], {}) == ""
    assert "golang:1.26, and the gates run Go 1.27" in runtimes.told("go", None, ["golang:1.26"], {})
