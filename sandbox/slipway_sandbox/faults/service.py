"""The service's own faults: pushed or configured, red at their own stage at the first attempt, and harmless."""

from __future__ import annotations

from slipway_sandbox.faults.case import Case, Seen, Wanted
from slipway_sandbox.faults.scene import Scene

SECTION = "service"


def _compile_error(scene: Scene) -> Seen:
    return scene.push("Leave a bracket open", files={"src/ai_generation/draft.py": "WORDS = (1,\n"})


def _missing_dockerfile(scene: Scene) -> Seen:
    return scene.push("Lose the Dockerfile", remove=["Dockerfile"])


CASES: tuple[Case, ...] = (
    Case(
        "compile-error",
        SECTION,
        "a file that does not compile",
        Wanted("build.compile", "failed", r"src/ai_generation/draft\.py:1: syntax: '\(' was never closed"),
        _compile_error,
        fast=True,
    ),
    Case(
        "missing-dockerfile",
        SECTION,
        "no Dockerfile",
        Wanted("scan.dockerfile", "failed", r"Dockerfile is missing"),
        _missing_dockerfile,
        fast=True,
    ),
)
