"""The reasons that the code can give, read from its source; writes what docs/troubleshooting.md has of them.

A row of a reason is ``code | message | cause | cure``: cause and cure are written by hand, the rest is the source's. Run as a
program it adds the rows that lack (at the end, without cause), drops those that are not given any more, and writes the
messages anew. A message is shown by its literal parts, ``…`` for each that is filled in.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path

from slipway.adapters.cluster import Cause
from slipway.adapters.cluster.obstacles import Whose

ROOT = Path(__file__).parents[1]
DOCUMENT = ROOT / "docs/troubleshooting.md"
HOLE = "…"
CODE = re.compile(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*")
_ROW = re.compile(rf"\| `({CODE.pattern})` \| (.*) \| (.*) \| (.*) \|")


def trees(folder: str) -> Iterator[tuple[str, ast.Module]]:
    """Give each Python file below a folder, also the scripts without a suffix."""
    for path in sorted((ROOT / folder).rglob("*")):
        if not path.is_file() or path.suffix not in ("", ".py"):
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".py" or re.match(r"#!.*python", text):
            yield str(path.relative_to(ROOT)), ast.parse(text)


def families(modules: dict[str, ast.Module], base: str) -> frozenset[str]:
    """Give the names of a class and of all that are derived from it."""
    names = {base}
    while (
        found := {
            node.name
            for module in modules.values()
            for node in ast.walk(module)
            if isinstance(node, ast.ClassDef) and {getattr(one, "id", "") for one in node.bases} & names
        }
        - names
    ):
        names |= found
    return frozenset(names)


def wordings(expression: ast.expr) -> list[str]:
    """Give what an expression of text can be, with a hole for each part that is filled in."""
    match expression:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.JoinedStr(values=parts):
            return ["".join(one) for one in product(*map(wordings, parts))]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return ["".join(one) for one in product(wordings(left), wordings(right))]
        case ast.IfExp(body=body, orelse=orelse):
            return wordings(body) + wordings(orelse)
        case ast.FormattedValue(value=ast.IfExp() as value):
            return wordings(value)
        case ast.Call(
            func=ast.Attribute(value=ast.Constant(value=str(between)), attr="join"),
            args=[ast.List(elts=parts)],
        ):
            return [between.join(one) for one in product(*map(wordings, parts))]
    return [HOLE]


def named(function: ast.expr) -> set[str]:
    """Give the names of the classes that a call may be of."""
    match function:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return {name}
        case ast.IfExp(body=body, orelse=orelse):
            return named(body) | named(orelse)
    return set()


def built(module: ast.Module, classes: frozenset[str]) -> Iterator[tuple[ast.Call, ast.expr | None]]:
    """Give the calls that build an error, or what one is made of, with the expression of its code."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            words = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            ours = {"code", "remedy"} & set(words) or named(node.func) & classes
            if ours and named(node.func) != {"__init__"}:
                yield node, words.get("code")


def told(call: ast.Call) -> list[str]:
    """Give the first lines that an error's message can have; none for one that hands on what was said elsewhere."""
    for argument in call.args:
        lines = [one.split("\n")[0] for one in wordings(argument)]
        lines = [re.sub(" +", " ", re.sub(f"{HOLE}+", HOLE, line)).strip() for line in lines]
        if found := [line for line in dict.fromkeys(lines) if line != HOLE]:
            return found
    return []


def literals(expression: ast.expr | None) -> list[str] | None:
    """Give the codes that an expression can be: none of its own if it hands on another's; None if that is not to be seen."""
    match expression:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Attribute(attr="code") | ast.Name(id="code") | ast.Constant(value=None):
            return []
        case ast.Call(
            func=ast.Attribute(attr="get"), args=[ast.Constant(value="code"), ast.Constant(value=str(text))]
        ):
            return [text]
        case ast.IfExp(body=body, orelse=orelse):
            found = literals(body), literals(orelse)
            return None if None in found else [*(found[0] or ()), *(found[1] or ())]
    return None


@dataclass
class Reason:
    """What the code says of a reason: at each place that gives it the messages, none where words are handed on."""

    places: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cause: Cause | None = None

    @property
    def says(self) -> str:
        """How it is shown: its messages, or how a cause that keeps pods from serving ends."""
        if self.cause:
            ended = "failed" if self.cause.whose is Whose.SERVICE else "errored"
            return f"{ended}, {self.cause.ends.value}"
        messages = dict.fromkeys(one for messages in self.places.values() for one in messages)
        return "<br>".join(map(quoted, messages)) or "–"


def quoted(message: str) -> str:
    """Give a message as Markdown shows it in a table: as code, whatever it holds."""
    message = message.replace("|", "\\|")
    return f"`` {message} ``" if "`" in message else f"`{message}`"


@cache
def sources() -> dict[str, ast.Module]:
    """Give the modules that raise errors of Slipway's."""
    return dict(trees("include/slipway")) | dict(trees("plugins"))


@cache
def reasons() -> dict[str, Reason]:
    """Give every code that is written out in the source."""
    classes, found = families(sources(), "SlipwayError"), dict[str, Reason]()
    for path, module in sources().items():
        for call, expression in built(module, classes):
            for code in literals(expression) or ():
                found.setdefault(code, Reason()).places[f"{path}:{call.lineno}"] = tuple(told(call))
    for cause in Cause:
        found.setdefault(cause.code, Reason()).cause = cause
    return found


def rows(text: str) -> dict[str, tuple[str, str]]:
    """Give the codes that have a row, with cause and cure."""
    return {row[1]: (row[5], row[6]) for line in text.splitlines() if (row := _ROW.fullmatch(line))}


def written(text: str) -> str:
    """Give the document as the source wants it."""
    known, lines = reasons(), []
    for line in text.splitlines():
        if (row := _ROW.fullmatch(line)) is None:
            lines.append(line)
        elif row[1] in known:
            lines.append(f"| `{row[1]}` | {known[row[1]].says} | {row[5]} | {row[6]} |")
    if lacking := sorted(set(known) - set(rows(text))):
        lines += ["", "## Not described yet", "", "| code | message | cause | cure |", "|---|---|---|---|"]
        lines += [f"| `{code}` | {known[code].says} |  |  |" for code in lacking]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    DOCUMENT.write_text(written(DOCUMENT.read_text()))
