"""The service's faults that are in manifests: the policy refuses those that want it to, and lets the others on to their stage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from faults.case import Case
from faults.service import DEPLOYMENTS
from slipway.errors import PolicyFailed
from slipway.release import manifests

ROOT = Path(__file__).parents[3]
CONFIG = ROOT / "examples/ai-generation-config"
KINDS = ("ServiceAccount", "ConfigMap", "Service", "Deployment")


class Told(Exception):
    """What a case would have committed is known."""


class Desk:
    """Takes what a case writes into the config repository, and goes no further."""

    sandbox = SimpleNamespace(registry="registry.test")

    def __init__(self) -> None:
        self.files: Mapping[str, str] | None = None

    def example(self, path: str, repository: str = "ai-generation") -> str:
        return (ROOT / "examples" / repository / path).read_text()

    def good(self) -> str:
        return "0" * 40

    @contextmanager
    def configured(self, files: Mapping[str, str] | None = None, remove: Sequence[str] = ()) -> Iterator[str]:
        self.files = files or {}
        yield "0" * 40

    def __getattr__(self, name: str) -> Any:
        raise Told


def written(case: Case) -> Mapping[str, str]:
    """Give the manifests that a case changes; none if it breaks something else."""
    desk = Desk()
    with suppress(Told):
        case.act(desk)  # type: ignore[arg-type]
    return {path: text for path, text in (desk.files or {}).items() if path.startswith("manifests/")}


CASES = {case.name: case for case in DEPLOYMENTS if written(case)}


def test_the_cases_are_found() -> None:
    assert {"never-ready", "unschedulable", "unpullable-image", "privileged-container"} <= set(CASES)


@pytest.mark.parametrize("name", sorted(CASES))
def test_manifest_of_a_case_comes_as_far_as_it_wants(name: str) -> None:
    case = CASES[name]
    files = {f"manifests/{one.name}": one.read_bytes() for one in (CONFIG / "manifests").iterdir()}
    files |= {path: text.encode() for path, text in written(case).items()}
    try:
        manifests.load(files, namespace="x", kinds=KINDS, released=("ai-generation", "app"))
    except PolicyFailed as e:
        refused: str | None = e.message
    else:
        refused = None
    # what the API server refuses is no rule of ours
    wants_refusal = case.wanted.stage == "deploy.config" and name != "invalid-manifest"
    assert (refused is not None) == wants_refusal, refused
    assert refused is None or re.search(case.wanted.message, refused)
