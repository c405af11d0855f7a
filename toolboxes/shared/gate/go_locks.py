"""Reads go.mod and go.sum: the modules that a build may take, at their one version, and what is wrong with them.

https://go.dev/ref/mod: since Go 1.17 go.mod names every module that provides a package of the build, and go.sum has their
hashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from gate import Finding

MADE = "`go mod tidy` makes it: commit it"
_DIRECTIVE = re.compile(r"(module|go|toolchain|godebug|require|replace|exclude|retract|tool|ignore)\b\s*(.*)")


@dataclass(frozen=True)
class Module:
    """One module of a build; `line` is where go.mod requires it."""

    name: str
    version: str
    line: int


def read(name: str, text: str, sums: str | None) -> tuple[list[Module], list[Finding]]:
    """The modules of a go.mod, sorted, and what is wrong with it.

    :param sums: go.sum; None if there is none.
    """
    required: dict[str, Module] = {}
    replaced: dict[str, tuple[str, str] | None] = {}
    findings: list[Finding] = []
    for number, word, rest in _lines(text):
        parts = [one.strip('"`') for one in rest.split()]
        if word == "require" and len(parts) == 2:
            required[parts[0]] = Module(parts[0], parts[1], number)
        elif word == "replace" and "=>" in parts:
            at = parts.index("=>")
            old, new = parts[:at], parts[at + 1 :]
            if not old or not new:
                findings.append(
                    Finding(name, number, "lock-form", f"`replace {rest[:80]}` is not understood", MADE)
                )
            elif len(new) == 1 and not new[0].startswith(("./", "../")):
                what = f"{old[0]} is replaced by {new[0][:80]}, which is no folder of the repository and has no version"
                findings.append(
                    Finding(
                        name,
                        number,
                        "lock-source",
                        what,
                        "take a version of it, or a folder of the repository",
                    )
                )
            else:
                replaced[old[0]] = (new[0], new[1]) if len(new) == 2 else None
        elif word in ("require", "replace"):
            findings.append(
                Finding(name, number, "lock-form", f"`{word} {rest[:80]}` is not understood", MADE)
            )
    if not re.search(r"^\s*module\s+\S", text, re.MULTILINE):
        findings.append(Finding(name, 0, "lock-form", "it names no module", "`go mod init` makes one"))
    modules: list[Module] = []
    for module in required.values():
        to = replaced.get(module.name, (module.name, module.version))
        if to:
            modules.append(Module(*to, module.line))
    hashed = {tuple(line.split()[:2]) for line in (sums or "").splitlines()}
    for module in modules:
        if (module.name, module.version) not in hashed and (
            module.name,
            f"{module.version}/go.mod",
        ) not in hashed:
            where = "go.sum is missing" if sums is None else "go.sum has no hash of it"
            findings.append(
                Finding(name, module.line, "lock-hash", f"{module.name} {module.version}: {where}", MADE)
            )
    return sorted(modules, key=lambda one: one.name), findings


def _lines(text: str) -> Iterator[tuple[int, str, str]]:
    """Each directive with its line; those of a block by themselves."""
    block = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.split("//")[0].strip() if "://" not in raw else raw.strip()
        if not line:
            continue
        if block:
            if line == ")":
                block = ""
            else:
                yield number, block, line
        elif match := _DIRECTIVE.fullmatch(line):
            if match[2] == "(":
                block = match[1]
            else:
                yield number, match[1], match[2]
