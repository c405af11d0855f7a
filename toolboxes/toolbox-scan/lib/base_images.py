"""What a Dockerfile takes its contents from: only the images that the pipeline gives, and stages of its own.

The builder pulls whatever a Dockerfile names, with the engine's network and account, whatever the build's own network is.
So every place that may name an image or an address is looked at, and what this reading could see otherwise than the builder
(here-documents, another escape character, a builder of its own) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from gate import Finding

GIVEN = ("BASE_PYTHON", "WHEELS")
ALLOWED = {"scratch"} | {form for name in GIVEN for form in (f"${name}", f"${{{name}}}")}
ADVICE = f"build on ${{{GIVEN[0]}}}, ${{{GIVEN[1]}}}, scratch or an earlier stage: the pipeline pins these by digest"
NO_NETWORK = "commit the file, or take it from a package of the lock: a build has no network"
_DIRECTIVE = re.compile(r"\s*(?:#|//)\s*(syntax|escape)\s*=", re.IGNORECASE)
_STAGE = re.compile(r"\s+AS\s+(\S+)\s*$", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def findings(name: str, text: str) -> list[Finding]:
    """Gives every place where the Dockerfile ``name`` would take something that the pipeline has not given."""
    lines = text.removeprefix("\ufeff").split("\n")
    found = [Finding(name, number, *what) for number, line in enumerate(lines, 1) if (what := _unread(line))]
    if text.lstrip().startswith("{"):
        found.append(Finding(name, 1, "no-syntax-line", "the file would choose the program that builds it"))
    stages: set[str] = set()
    for number, line in _instructions(lines):
        word, _, rest = line.partition(" ")
        word, rest = word.upper(), rest.strip()
        if word == "ONBUILD":
            found.append(
                Finding(
                    name,
                    number,
                    "onbuild",
                    "ONBUILD is not allowed",
                    "write the instruction where it is used",
                )
            )
        flags, rest = _flags(rest)
        odd = [flag for flag in flags if re.search(r"[\\\"']", flag)]
        found += [
            Finding(name, number, "odd-flag", f"`{flag[:80]}` has quotes or escapes", "write it plainly")
            for flag in odd
        ]
        if word == "FROM":
            image, stage = _STAGE.sub("", rest).strip(), _STAGE.search(rest)
            if image not in ALLOWED and image.lower() not in stages:
                found.append(
                    Finding(
                        name,
                        number,
                        "base-image",
                        f"`FROM {image[:80]}` is not pinned by the pipeline",
                        ADVICE,
                    )
                )
            if stage:
                stages.add(stage[1].lower())
        for source in _sources(word, flags):
            if source not in ALLOWED and source.lower() not in stages and not source.isdigit():
                found.append(
                    Finding(
                        name, number, "copied-image", f"`from={source[:80]}` is not a stage above", ADVICE
                    )
                )
        if word == "ADD" and re.search(r"://|\$|git@|\.git\b|[\\\"']", rest.rpartition(" ")[0]):
            found.append(
                Finding(
                    name, number, "add-address", f"`ADD {rest[:80]}` may fetch from elsewhere", NO_NETWORK
                )
            )
    return found


def _unread(line: str) -> tuple[str, str, str] | None:
    if match := _DIRECTIVE.match(line):
        return (
            f"no-{match[1].lower()}-line",
            "the file would choose how it is read and what builds it",
            "remove the line",
        )
    if "<<" in line:
        return (
            "here-document",
            "here-documents (`<<`) are not allowed",
            "put the script into a file, and COPY it",
        )
    if _CONTROL.search(line.removesuffix("\r")):
        return ("control-character", "there is a control character", "remove it")
    if re.search(r"\\\\[ \t]*\r?$", line):
        return ("odd-continuation", "the line ends with two backslashes", "end it with one, or with none")
    return None


def _instructions(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Gives each instruction in one line, with the number of its first."""
    kept, began = "", 0
    for number, raw in enumerate(lines, 1):
        line = raw.rstrip("\r")
        if line.strip().startswith("#") or not line.strip():
            continue
        began = began or number
        if match := re.search(r"\\[ \t]*$", line):
            kept += line[: match.start()]
            continue
        yield began, " ".join((kept + line).split())
        kept, began = "", 0
    if kept.strip():
        yield began, " ".join(kept.split())


def _flags(rest: str) -> tuple[list[str], str]:
    flags = []
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        flags.append(flag)
        rest = rest.lstrip()
    return flags, rest


def _sources(word: str, flags: list[str]) -> Iterator[str]:
    """Gives what `COPY --from` and `RUN --mount=…,from=` name; of any instruction, to be on the safe side."""
    for flag in flags:
        key, _, value = flag.partition("=")
        if key.lower() == "--from":
            yield value
        elif key.lower() == "--mount":
            for part in value.split(","):
                option, _, source = part.partition("=")
                if option.strip().lower() == "from":
                    yield source
