"""The stacks, and how each recognises a project of its own. Their images are the folders `toolboxes/toolbox-<stack>`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from slipway.catalog.recognition.findings import Files, Found, Guess
from slipway.catalog.recognition.go import go
from slipway.catalog.recognition.java import java
from slipway.catalog.recognition.node import node
from slipway.catalog.recognition.python import python
from slipway.catalog.service import Stack as Name


@dataclass(frozen=True)
class Stack:
    """A stack, as far as a repository says what is of it.

    :param marks: patterns of files at the top, each of which says that the project is of this stack.
    :param weak: patterns of files that say so where nothing else says anything.
    :param look: gives what a repository says of a service of this stack, on a day.
    """

    name: Name
    title: str
    marks: tuple[str, ...]
    look: Callable[[Files, date], Found]
    weak: tuple[str, ...] = ()


STACKS = (
    Stack(
        "python",
        "Python",
        ("pyproject.toml", "setup.py", "requirements*.txt", "Pipfile"),
        lambda files, _: python(files),
        weak=("*.py",),
    ),
    Stack("node", "Node", ("package.json",), node),
    Stack("go", "Go", ("go.mod",), go),
    Stack("java", "Java", ("pom.xml",), java),
)


def recognised(files: Files) -> list[Guess]:
    """Give the stacks that a repository may be of, each with the file that says so."""
    strong = [Guess(one.name, found[0]) for one in STACKS if (found := files.matching(*one.marks))]
    return strong or [Guess(one.name, found[0]) for one in STACKS if (found := files.matching(*one.weak))]
