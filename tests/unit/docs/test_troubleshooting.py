"""docs/troubleshooting.md has an entry for every message that the code can raise, and none that it cannot.

A message is known by the literal parts of what an error is built with: `…` stands for each part that is filled in. An entry
is the first cell of a table's row. What stands between `<!-- by hand -->` and the next heading is not compared.

Each error carries a code for programs, too, written out where it is built; the walk finds them all.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs/troubleshooting.md"
HOLE = "…"
# what gates raise; their package is not importable from here
GATES = frozenset({"Failed", "CannotEvaluate"})


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


def built(module: ast.Module, classes: frozenset[str]) -> Iterator[ast.Call]:
    """Give the calls that build one of the errors: by its name, or with our words by a name that is computed."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            ours = {keyword.arg for keyword in node.keywords} & {"remedy", "lines"}
            if named(node.func) & classes or (ours and named(node.func) != {"__init__"}):
                yield node


def codes(module: ast.Module, classes: frozenset[str]) -> Iterator[tuple[ast.Call, ast.expr | None]]:
    """Give the calls that build an error, or what an error is made of, with the expression of its code."""
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            words = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
            ours = {"code", "remedy"} & set(words) or named(node.func) & classes
            if ours and named(node.func) != {"__init__"}:
                yield node, words.get("code")


def literals(expression: ast.expr | None) -> list[str] | None:
    """Give the codes that an expression can be: none of its own if it hands on another's; None if that is not to be seen."""
    match expression:
        case ast.Constant(value=str(text)):
            return [text]
        case ast.Attribute(attr="code"):
            return []
        case ast.Call(
            func=ast.Attribute(attr="get"), args=[ast.Constant(value="code"), ast.Constant(value=str(text))]
        ):
            return [text]
        case ast.IfExp(body=body, orelse=orelse):
            found = literals(body), literals(orelse)
            return None if None in found else [*(found[0] or ()), *(found[1] or ())]
    return None


def told(call: ast.Call) -> list[str]:
    """Give the first lines that an error's message can have; none for one that hands on what was said elsewhere."""
    lines = [one.split("\n")[0] for one in (wordings(call.args[0]) if call.args else ())]
    lines = [re.sub(" +", " ", re.sub(f"{HOLE}+", HOLE, line)).strip() for line in lines]
    return [line for line in lines if line != HOLE]


@cache
def messages() -> dict[str, str]:
    """Give every message with the place of one that builds it."""
    modules = dict(trees("include/slipway"))
    classes = families(modules, "SlipwayError")
    found: dict[str, str] = {}
    for known, files in ((classes, modules), (GATES, dict(trees("sandbox/images")))):
        for path, module in files.items():
            for call in built(module, known):
                for line in told(call):
                    found.setdefault(line, f"{path}:{call.lineno}")
    assert len(found) > 100, "the walk over the code finds too little"
    return found


@cache
def entries() -> dict[str, int]:
    """Give the first cells of the document's rows with their lines."""
    found, by_hand = {}, False
    for number, line in enumerate(DOCUMENT.read_text().splitlines(), 1):
        if line.startswith("#"):
            by_hand = False
        by_hand = by_hand or line == "<!-- by hand -->"
        if not by_hand and (row := re.match(r"\| (`+) ?(.+?) ?\1 \|", line)):
            assert row[2] not in found, f"line {number}: {row[2]} is there twice"
            found[row[2]] = number
    return found


def fits(entry: str, message: str) -> bool:
    """Whether an entry is about a message: a hole of the entry covers any part of it, or nothing, if the rest says enough."""
    if len(re.sub(rf"[{HOLE}\W]", "", entry)) < 8:
        return entry == message
    return re.fullmatch(".*".join(map(re.escape, entry.split(HOLE))), message) is not None


def test_every_message_has_an_entry() -> None:
    missing = [
        f"{place}: {one}" for one, place in messages().items() if not any(fits(e, one) for e in entries())
    ]
    assert not missing, "add to docs/troubleshooting.md:\n" + "\n".join(sorted(missing))


def test_every_entry_is_about_a_message() -> None:
    stale = [
        f"line {n}: {entry}"
        for entry, n in entries().items()
        if not any(fits(entry, one) for one in messages())
    ]
    assert not stale, "drop from docs/troubleshooting.md, or correct there:\n" + "\n".join(stale)


def test_every_class_of_error_has_its_section() -> None:
    headings = re.findall(r"^#+ (.*)$", DOCUMENT.read_text(), re.MULTILINE)
    modules = dict(trees("include/slipway"))
    classes = families(modules, "SlipwayError") - {"SlipwayError"}
    assert {"PolicyFailed", "Permanent", "Transient", "CatalogError", "Ambiguous"} <= classes
    assert [one for one in sorted(classes) if not any(f"`{one}`" in heading for heading in headings)] == []


def test_every_row_has_a_cause_and_a_cure() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    assert [row for row in rows if len(cells := row.strip("| ").split(" | ")) != 3 or not all(cells)] == []


@cache
def registry() -> dict[str, dict[str, frozenset[str]]]:
    """Give every code with the places that use it, and what is said at each (nothing where words are handed on)."""
    modules = dict(trees("include/slipway")) | dict(trees("plugins"))
    classes = families(modules, "SlipwayError")
    found: dict[str, dict[str, frozenset[str]]] = {}
    for path, module in modules.items():
        for call, expression in codes(module, classes):
            for code in literals(expression) or ():
                found.setdefault(code, {})[f"{path}:{call.lineno}"] = frozenset(told(call))
        for cause in (
            one for one in ast.walk(module) if isinstance(one, ast.ClassDef) and one.name == "Cause"
        ):
            for line in cause.body:
                match line:
                    case ast.Assign(value=ast.Tuple(elts=[*_, ast.Constant(value=str(code))])):
                        found.setdefault(code, {})[f"{path}:{line.lineno}"] = frozenset()
    assert len(found) > 200, "the walk over the code finds too little"
    return found


def test_every_error_carries_a_code_that_is_written_out() -> None:
    modules = dict(trees("include/slipway")) | dict(trees("plugins"))
    classes = families(modules, "SlipwayError")
    missing = [
        f"{path}:{call.lineno}"
        for path, module in modules.items()
        for call, expression in codes(module, classes)
        if literals(expression) is None
    ]
    assert not missing, 'give each `code="subject.what-is-so"`:\n' + "\n".join(missing)


def test_codes_are_of_one_grammar() -> None:
    assert [one for one in registry() if not re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*", one)] == []


def test_a_code_has_one_meaning() -> None:
    several = {
        code: places
        for code, places in registry().items()
        if len({said for said in places.values() if said}) > 1
    }
    assert several == {}, "the same code is said of different things"


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('Failed("plain")', "plain"),
        ('Failed(f"{a}{b}: no {c!r}")', "…: no …"),
        ('Failed("a " + ("b" if x else "c"))', "a b"),
        ('Failed("a " + ("b" if x else "c"))', "a c"),
        ('raise self.late(f"{t} late", remedy="x")', "… late"),
        ('raise (Failed if x else Other)("either")', "either"),
        ('Failed(f"said:\\n{log}")', "said:"),
        ('return kind(f"{t} ended", lines=x)', "… ended"),
        ('Failed(": ".join([f"pod {n}", why, *more]))', "pod …: …: …"),
    ],
)
def test_the_walk_sees_each_way_of_writing_a_message(source: str, line: str) -> None:
    [call] = built(ast.parse(source), GATES)
    assert line in told(call)


def test_an_entry_covers_only_what_it_speaks_of() -> None:
    assert fits("… is not ready after … s…", "… is not ready after … s: …")
    assert fits("…: …", "…: …")
    assert not fits("…: …", "pod …: …")
    assert not fits("… is not ready", "… is not ready after … s")


def test_the_walk_leaves_out_what_only_hands_on() -> None:
    [call] = built(ast.parse("Failed(error.message, remedy='x')"), GATES)
    assert told(call) == []
