"""Reads hash-locked requirements files, strictly: pins with hashes and nothing else.

A pushed lock must not choose where packages come from, nor run code: options, addresses, paths and source
builds are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gate import Failed, Finding, inside

PIN = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[A-Za-z0-9,._ -]*\])?\s*==\s*([^\s;,*]+)\s*(?:;\s*(.*?))?\s*$"
)
HASH = re.compile(r"--hash[= ]sha256:([0-9a-f]{64})$")
ADVICE = "make the lock with `uv pip compile --generate-hashes --only-binary :all:`"


@dataclass(frozen=True)
class Pin:
    """One package of a lock."""

    name: str  # normalised as PEP 503 asks
    version: str
    line: int
    marker: str = ""


def read(name: str) -> tuple[list[Pin], list[Finding]]:
    """The pins of a lock file of the source tree, and what is wrong with it.

    A missing lock is the service's fault.
    """
    path = inside(name)
    if not path.is_file():
        raise Failed(f"{name} is missing: the catalog names it as a lock of dependencies")
    return parse(name, path.read_text(encoding="utf-8", errors="replace"))


def parse(name: str, text: str) -> tuple[list[Pin], list[Finding]]:
    pins, findings = [], []
    for number, line in _logical_lines(text):
        requirement, *options = re.split(r"\s+(?=--)", line)
        match = PIN.fullmatch(requirement.strip())
        if requirement.startswith("-"):
            findings.append(
                Finding(
                    name,
                    number,
                    "lock-option",
                    f"`{requirement[:80]}` is not allowed",
                    "the platform decides where packages come from: remove it",
                )
            )
        elif not match:
            findings.append(
                Finding(
                    name, number, "lock-pin", f"`{requirement[:80]}` is not a pin (name==version)", ADVICE
                )
            )
        elif not options:
            findings.append(Finding(name, number, "lock-hash", f"{requirement} has no hash", ADVICE))
        elif bad := [option for option in options if not HASH.fullmatch(option.strip())]:
            findings.append(
                Finding(
                    name, number, "lock-option", f"{match[1]}: `{bad[0][:80]}` is not a sha256 hash", ADVICE
                )
            )
        else:
            pins.append(Pin(re.sub(r"[-_.]+", "-", match[1]).lower(), match[2], number, match[3] or ""))
    if not pins and not findings:
        findings.append(Finding(name, 0, "lock-empty", "holds no requirement", ADVICE))
    return pins, findings


def _logical_lines(text: str) -> list[tuple[int, str]]:
    lines, kept, began = [], "", 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = re.sub(r"(^|\s)#.*$", "", raw).rstrip()
        began = began or number
        kept += line.removesuffix("\\") + " "
        if not line.endswith("\\"):
            if kept.strip():
                lines.append((began, kept.strip()))
            kept, began = "", 0
    return [*lines, (began, kept.strip())] if kept.strip() else lines
