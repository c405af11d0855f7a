"""Guesses, each with its cause, and what is undecided."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from functools import cached_property
from typing import Any

TEXT_MOST = 1_000_000
"""Characters of one file that are looked into."""


@dataclass(frozen=True)
class Guess:
    """What a word of the catalog may be, and the file (or its lack) that says so."""

    value: Any
    because: str


@dataclass(frozen=True)
class Choice:
    """A word of the catalog that only a person can decide.

    :param word: such as ``source.dependencies``. :param guesses: what is possible; none if nothing tells.
    """

    word: str
    guesses: tuple[Guess, ...]

    def __str__(self) -> str:
        if not self.guesses:
            return f"{self.word}: nothing in the repository tells"
        return f"{self.word}: " + " or ".join(f"{one.value} ({one.because})" for one in self.guesses)


@dataclass
class Found:
    """What is known of the catalog's words, and what is not."""

    known: dict[str, Guess] = field(default_factory=dict)
    open: list[Choice] = field(default_factory=list)

    def say(self, word: str, guesses: Sequence[Guess], *, needed: bool = True) -> None:
        """Take what a word may be: one answer is known, more are a choice, and so is none of a word that is needed."""
        distinct = list({repr(one.value): one for one in guesses}.values())
        if len(distinct) == 1:
            self.known[word] = distinct[0]
        elif distinct or needed:
            self.open.append(Choice(word, tuple(distinct)))

    def value(self, word: str, default: Any = None) -> Any:
        """Give what a word is, if it is known."""
        return self.known[word].value if word in self.known else default


@dataclass(frozen=True)
class Files:
    """The files of a repository.

    :param texts: of each file by its path; None of what is no text, or too long.
    """

    texts: Mapping[str, str | None]

    def __contains__(self, path: str) -> bool:
        return path in self.texts

    def text(self, path: str) -> str:
        """Give a file's text; none of what is not there."""
        return self.texts.get(path) or ""

    def matching(self, *patterns: str) -> list[str]:
        """Give the paths that fit one of some patterns (``*`` also of folders), in order."""
        return sorted(path for path in self.texts if any(fnmatch(path, one) for one in patterns))

    def below(self, folder: str) -> Files:
        """Give what lies in a folder, as if there were nothing else."""
        prefix = f"{folder.strip('/')}/"
        return Files(
            {path.removeprefix(prefix): text for path, text in self.texts.items() if path.startswith(prefix)}
        )

    def has_folder(self, path: str) -> bool:
        """Tell whether there is a file below a folder."""
        return any(one.startswith(f"{path}/") for one in self.texts)

    @cached_property
    def pyproject(self) -> dict[str, Any]:
        """What pyproject.toml says; nothing if it is no TOML."""
        try:
            return tomllib.loads(self.text("pyproject.toml"))
        except tomllib.TOMLDecodeError:
            return {}

    def configured(self, tool: str, *files: str, sections: Mapping[str, str] | None = None) -> Iterator[str]:
        """Give where a tool is configured.

        :param files: whose being there says so. :param sections: files, and the heading in them that does.
        """
        if tool in self.pyproject.get("tool", {}):
            yield f"[tool.{tool}] in pyproject.toml"
        yield from (one for one in files if one in self)
        yield from (
            f"{heading} in {path}" for path, heading in (sections or {}).items() if heading in self.text(path)
        )
