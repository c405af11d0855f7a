"""Which languages the scanner reads besides Python, by their files' names, and which it knows it does not."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from gate import Finding
from tree import Content

SCRIPT = re.compile(rb"#![^\n]*\b(?:node|tsx|ts-node|deno|bun)\b")
SUFFIXES = {
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx"), ".js"),
    **dict.fromkeys((".ts", ".mts", ".cts"), ".ts"),
    ".tsx": ".tsx",
    ".go": ".go",
    ".java": ".java",
}
"""Names of files, and those by which semgrep knows the same languages."""

UNKNOWN = {
    ".kt": "Kotlin",
    ".scala": "Scala",
    ".groovy": "Groovy",
    ".rb": "Ruby",
    ".php": "PHP",
    ".cs": "C#",
    ".rs": "Rust",
    ".swift": "Swift",
    ".ex": "Elixir",
    ".exs": "Elixir",
}
"""Languages of services for which the platform has no rules."""

WAIVE = "waive it for a time, with what looks at it instead (`slipway waive`), or give the platform a scanner for it"


def known(content: Content) -> str | None:
    """The suffix by which the scanner knows a file's language; None if it reads none but Python."""
    for name in (content.name, *content.links):
        if suffix := SUFFIXES.get(PurePosixPath(name).suffix.lower()):
            return suffix
    return ".js" if SCRIPT.match(content.head()) else None


def unknown(name: str) -> str | None:
    """The language of a file, if it is one for which there is no scanner."""
    return UNKNOWN.get(PurePosixPath(name).suffix.lower())


def source_text(name: str, data: bytes) -> tuple[str, Finding | None]:
    """A file as its compiler reads it, and what is wrong with it: these languages are written in UTF-8."""
    try:
        return data.decode("utf-8").removeprefix("\ufeff"), None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return "", Finding(
            name, line, "syntax", "it is not UTF-8", "a scanner cannot read it: mend or remove it"
        )


def is_unread(error: Mapping[str, Any]) -> bool:
    """Whether what semgrep says went wrong is that it cannot read a part of a file."""
    kind = error.get("type")
    named = str(kind[0] if isinstance(kind, list) and kind else kind)
    return named in ("PartialParsing", "Syntax error", "Lexical error") and bool(error.get("path"))


def place(error: Mapping[str, Any]) -> tuple[str, int]:
    """The file that an error is about, and the line of its first part."""
    spans = error.get("spans") or [{}]
    return str(error["path"]), int((spans[0].get("start") or {}).get("line") or 0)
