"""What BuildKit says of a build (docker's ``--progress plain``): which step failed, why, and whose fault that is.

Pushed code has its words in there: what a step prints, after the step's number and a time; and instructions, in the names
of steps and in errors that quote them. Neither may decide. So lines end where BuildKit ends them, a step is known by its
first naming, and of an error only that counts which stands where no quotation can.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum


class Fault(StrEnum):
    """Whose fault a failed build is."""

    DOCKERFILE = "dockerfile"
    BASE = "base"
    """An image to build from could not be had. The Dockerfile may only name the platform's (`scan.dockerfile`)."""
    ENGINE = "engine"


_NAMED = re.compile(r"#(\d+) (\[.+|exporting .+|importing .+)")
_FAILED = re.compile(r"#(\d+) ERROR: (.+)")
_BASES = re.compile(r"\[internal\] load metadata for |\[(?:\S+ )?\d+/\d+\] FROM ")
_PLATFORMS = re.compile(r"exporting |importing ")
_EXIT = re.compile(r"(?:\]|completed? successfully): exit code: \d+$")
_TROUBLE = re.compile(
    r"^rpc error: code = (?:Unavailable|DeadlineExceeded)"
    r"|: (?:no space left on device|input/output error|read-only file system|unexpected EOF"
    r"|connection (?:refused|reset by peer))$"
)
_WRAPPED = re.compile(
    r"(?:ERROR: |failed to (?:solve(?: with frontend \S+)?|create LLB definition|build LLB|receive status|dial gRPC): )*"
)
_UNRESOLVED = re.compile(r"(?:\S+: )?failed to (?:resolve source metadata for|do request: )")
_GONE = re.compile(
    r"(?:unexpected )?EOF$|rpc error: code = Unavailable|error reading from server|error during connect: "
    r"|[Cc]annot connect to the Docker daemon"
)
"""What docker's client says last when the engine goes away under it, which may be there again by now."""


def lines(said: str) -> list[str]:
    """Give the lines as BuildKit ended them: what a step prints may hold any other end of a line."""
    return [line.removesuffix("\r") for line in said.split("\n") if line.strip()]


def fault(said: Sequence[str]) -> Fault:
    """Give whose fault the end of a build is, by all that was said."""
    names: dict[str, str] = {}
    failed: dict[str, str] = {}
    for line in said:
        if match := _FAILED.match(line):
            failed.setdefault(match[1], match[2])
        elif match := _NAMED.match(line):
            names.setdefault(match[1], match[2])
    last = said[-1].rstrip() if said else ""
    if any(_EXIT.search(why) for why in (*failed.values(), last)):
        return Fault.DOCKERFILE
    steps = [names.get(number, "") for number in failed]
    if any(_BASES.match(name) for name in steps):
        return Fault.BASE
    if any(_PLATFORMS.match(name) for name in steps) or any(_TROUBLE.search(why) for why in failed.values()):
        return Fault.ENGINE
    word = _WRAPPED.sub("", last, count=1) if not failed else ""
    if _UNRESOLVED.match(word):
        return Fault.BASE
    return Fault.ENGINE if _GONE.match(word) else Fault.DOCKERFILE


_OF_REF = re.compile(r"^(?:failed to compute cache key: )?failed to calculate checksum of ref \S+: ")
"""What BuildKit says before the name of a file that is not there: a name of its own, another one each time."""
_STEP, _ERROR = re.compile(r"^ *> \[[^\]]*\] (.+):$"), re.compile(r"^#\d+ ERROR: (.+)")


def failed_step(said: Sequence[str]) -> str:
    """Give the instruction that failed and why, out of the last lines of BuildKit's progress, or the last about an error."""
    step = next((match[1] for line in reversed(said) if (match := _STEP.match(line))), None)
    error = next((match[1] for line in reversed(said) if (match := _ERROR.match(line.strip()))), None)
    error = _OF_REF.sub("", error, count=1) if error else None
    if step and error:
        step = " ".join(step.split())
        return f"{step if len(step) <= 120 else step[:119] + '…'}: {error}"
    spoken = [line.strip() for line in said if "error" in line.lower()] or [line.strip() for line in said]
    return error or (spoken[-1] if spoken else "")
