"""The one tree of errors. The class says whether a retry helps; the text what, where, why and what to do; the code which it is.

Programs tell errors apart by class and code, never by the text, which is for people. A code is ``subject.what-is-so``: once
given it stays, and means one thing. docs/troubleshooting.md lists all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


def plain(text: str, limit: int) -> str:
    """Give text that every store takes: words of pushed code may hold NUL or halves of characters, and have no end."""
    text = text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return text if len(text) <= limit else text[: limit - 1] + "…"


class SlipwayError(Exception):
    """Base of all errors of Slipway.

    :param message: what went wrong, where, and why.
    :param code: which error it is, for programs: ``subject.what-is-so``, in lower case.
    :param remedy: what a person can do about it.
    :param lines: the first useful lines of the thing that failed (a log, a report), never secrets.
    """

    exit_code = 3  # of the command line: 1 the thing failed (policy), 2 usage or catalog, 3 infrastructure

    def __init__(self, message: str, *, code: str, remedy: str = "", lines: Iterable[str] = ()) -> None:
        self.message, self.code, self.remedy = plain(message, 2000), code, remedy
        self.lines = tuple(plain(line, 500) for line in lines)
        super().__init__(self.message)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        """Make a copy of what it holds: what it was built with besides the message is not among an exception's arguments."""
        return _anew, (type(self), self.args), self.__dict__

    def show(self) -> dict[str, Any]:
        """Give the error as programs read it: a contract, only ever added to."""
        return {
            "code": self.code,
            "class": type(self).__name__,
            "message": self.message,
            "remedy": self.remedy,
            "lines": list(self.lines),
        }

    def __str__(self) -> str:
        parts = [self.message, *(f"  {line}" for line in self.lines)]
        return "\n".join([*parts, f"What to do: {self.remedy}"] if self.remedy else parts)


def _anew(kind: type[SlipwayError], args: tuple[Any, ...]) -> SlipwayError:
    return kind.__new__(kind, *args)


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong in a catalog file. `line` and `column` count from 1; 0 is the whole file."""

    file: str
    line: int
    column: int
    path: str
    what: str
    legal: tuple[str, ...] = ()
    meant: str | None = None

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{where}: {self.path}: {self.what}" if self.path else f"{where}: {self.what}"
        if self.meant:
            text += f"; did you mean `{self.meant}`?"
        return text + (f" (legal: {', '.join(self.legal)})" if self.legal else "")


class CatalogError(SlipwayError):
    """The catalog, the platform file or the use of a command is wrong: a person must edit something."""

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        code: str,
        remedy: str = "",
        lines: Iterable[str] = (),
        problems: Iterable[Problem] = (),
    ) -> None:
        self.problems = tuple(problems)
        super().__init__(message, code=code, remedy=remedy, lines=tuple(lines) or map(str, self.problems))


class PolicyFailed(SlipwayError):
    """The service itself fell short of a gate. The verdict stands for this commit: never retried."""

    exit_code = 1


class Superseded(SlipwayError):
    """A newer release goes instead of this one. No failure: the run ends green, the release `superseded`.

    :param by: run id of the newer one.
    """

    exit_code = 0

    def __init__(self, message: str, *, code: str, by: str, remedy: str = "") -> None:
        self.by = by
        super().__init__(message, code=code, remedy=remedy)


class Unchanged(SlipwayError):
    """Nothing of the service is another than what is deployed. No failure: the run ends green, the release `unchanged`."""

    exit_code = 0


class Permanent(SlipwayError):
    """Infrastructure or configuration is wrong in a way that a retry will not mend, or has had all the time it may take."""


class Transient(SlipwayError):
    """Infrastructure failed for now: a bounded number of retries may help."""
