"""docs/troubleshooting.md has an entry for every reason and message that the code can give, and none that it cannot.

An entry of a reason is found by its code, and what it says is written by `docs/troubleshooting.py`. An entry of what is put
around the words of another reason, or of a gate's verdict, is the message itself. What stands between `<!-- by hand -->` and
the next heading is not compared.
"""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest
import troubleshooting as document
from troubleshooting import CODE, DOCUMENT, HOLE

# what gates raise; their package is not importable from here
GATES = frozenset({"Failed", "CannotEvaluate"})


@cache
def classes() -> frozenset[str]:
    return document.families(document.sources(), "SlipwayError")


@cache
def messages() -> dict[str, str]:
    """Give every message that has no code of its own with a place that gives it: frames of others, and gates' verdicts."""
    found: dict[str, str] = {}
    for known, files in (
        (classes(), document.sources()),
        (GATES, dict(document.trees("toolboxes"))),
    ):
        for path, module in files.items():
            for call, code in document.built(module, known):
                if not document.literals(code):
                    for line in document.told(call):
                        found.setdefault(line, f"{path}:{call.lineno}")
    assert len(found) > 50, "the walk over the code finds too little"
    return found


@cache
def entries() -> dict[str, int]:
    """Give the messages that have a row with its line."""
    found, by_hand = {}, False
    for number, line in enumerate(DOCUMENT.read_text().splitlines(), 1):
        if line.startswith("#"):
            by_hand = False
        by_hand = by_hand or line == "<!-- by hand -->"
        row = re.match(r"\| (`+) ?(.+?) ?\1 \|", line)
        if row and not by_hand and not CODE.fullmatch(row[2]):
            assert row[2] not in found, f"line {number}: {row[2]} is there twice"
            found[row[2]] = number
    return found


def fits(entry: str, message: str) -> bool:
    """Whether an entry is about a message: a hole of the entry covers any part of it, or nothing, if the rest says enough."""
    if len(re.sub(rf"[{HOLE}\W]", "", entry)) < 8:
        return entry == message
    return re.fullmatch(".*".join(map(re.escape, entry.split(HOLE))), message) is not None


def test_every_reason_has_its_entry_and_says_there_what_it_says_in_the_code() -> None:
    text = DOCUMENT.read_text()
    assert text == document.written(text), (
        "run `.venv/bin/python docs/troubleshooting.py`, and describe what is new"
    )
    assert len(document.reasons()) > 200, "the walk over the code finds too little"


def test_a_reason_that_is_not_described_and_one_that_is_given_no_more_are_seen() -> None:
    text = DOCUMENT.read_text()
    [line] = [one for one in text.splitlines() if one.startswith("| `gate.timed-out` |")]
    lacking = document.written(text.replace(line + "\n", ""))
    assert lacking.endswith("| `gate.timed-out` | `… took longer than … s and was ended…` |  |  |\n")
    assert document.written(text + "| `gate.no-more` | `x` | y | z |\n") == text
    assert document.written(text.replace("took longer than … s and was ended…", "took long")) == text


def test_every_message_around_another_reason_and_of_a_gate_has_an_entry() -> None:
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
    known = classes() - {"SlipwayError"}
    assert {"PolicyFailed", "Permanent", "Transient", "CatalogError", "Ambiguous"} <= known
    assert [one for one in sorted(known) if not any(f"`{one}`" in heading for heading in headings)] == []


def test_every_row_has_a_cause_and_a_cure_and_no_reason_has_two_rows() -> None:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    cells = {row: [one.strip() for one in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows}
    codes = [row[0].strip("`") for row in cells.values() if CODE.fullmatch(row[0].strip("`"))]
    assert [row for row, parts in cells.items() if len(parts) not in (3, 4) or not all(parts)] == []
    assert sorted(set(codes)) == sorted(codes)


def test_every_error_carries_a_code_that_is_written_out() -> None:
    missing = [
        f"{path}:{call.lineno}"
        for path, module in document.sources().items()
        for call, code in document.built(module, classes())
        # only what records an error is given a code that it passes on
        if document.literals(code) is None
        or (isinstance(code, ast.Name) and document.named(call.func) & classes())
    ]
    assert not missing, 'give each `code="subject.what-is-so"`:\n' + "\n".join(missing)


def test_codes_are_of_one_grammar() -> None:
    assert [one for one in document.reasons() if not CODE.fullmatch(one)] == []


def test_a_code_has_one_meaning() -> None:
    several = {
        code: reason.places
        for code, reason in document.reasons().items()
        if len({said for said in reason.places.values() if said}) + (reason.cause is not None) > 1
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
        ('return kind(f"{t} ended", code=x)', "… ended"),
        ('Failed(": ".join([f"pod {n}", why, *more]))', "pod …: …: …"),
        ('Obstacle(Effect.WAITS, "it waits", code="a.b")', "it waits"),
    ],
)
def test_the_walk_sees_each_way_of_writing_a_message(source: str, line: str) -> None:
    [(call, _)] = document.built(ast.parse(source), GATES)
    assert line in document.told(call)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ('code="a.b"', ["a.b"]),
        ('code="a.b" if x else "a.c"', ["a.b", "a.c"]),
        ("code=error.code", []),
        ("code=code", []),
        ("code='a.b' if x else None", ["a.b"]),
        ("code=f'a.{b}'", None),
        ("code=made_up", None),
        ("remedy='x'", None),
    ],
)
def test_the_walk_sees_which_codes_are_written_out(code: str, found: list[str] | None) -> None:
    [(_, expression)] = document.built(ast.parse(f"Failed('x', {code})"), GATES)
    assert document.literals(expression) == found


def test_an_entry_covers_only_what_it_speaks_of() -> None:
    assert fits("… is not ready after … s…", "… is not ready after … s: …")
    assert fits("…: …", "…: …")
    assert not fits("…: …", "pod …: …")
    assert not fits("… is not ready", "… is not ready after … s")


def test_the_walk_leaves_out_what_only_hands_on() -> None:
    [(call, _)] = document.built(ast.parse("Failed(error.message, remedy='x')"), GATES)
    assert document.told(call) == []


def looked_into(module: ast.Module, known: frozenset[str]) -> list[int]:
    """Give the lines where the words of an error of ours, as it was caught, are compared or searched."""
    found = []
    for handler in (one for one in ast.walk(module) if isinstance(one, ast.ExceptHandler) and one.name):
        names = (
            {one.id for one in ast.walk(handler.type) if isinstance(one, ast.Name)} if handler.type else set()
        )
        if not names & known:
            continue
        words = {
            f"str({handler.name})",
            *(f"{handler.name}.{part}" for part in ("message", "remedy", "args")),
        }
        for node in ast.walk(handler):
            match node:
                case ast.Compare(left=left, comparators=others):
                    seen = [left, *others]
                case ast.Call(
                    func=ast.Attribute(value=value, attr="startswith" | "endswith" | "find" | "count")
                ):
                    seen = [value]
                case ast.Call(
                    func=ast.Attribute(attr="search" | "match" | "fullmatch" | "findall"), args=given
                ):
                    seen = given
                case _:
                    continue
            if any(
                ast.unparse(part) in words
                for one in seen
                for part in ast.walk(one)
                if isinstance(part, ast.expr)
            ):
                found.append(node.lineno)
    return found


def test_nothing_is_decided_by_the_words_of_an_error_of_ours() -> None:
    files = document.sources() | dict(document.trees("sandbox/slipway_sandbox"))
    assert {path: lines for path, one in files.items() if (lines := looked_into(one, classes()))} == {}


@pytest.mark.parametrize(
    ("decision", "is_seen"),
    [
        ("if 'gone' in str(e): pass", True),
        ("if e.message.startswith('gone'): pass", True),
        ("if re.search('gone', e.message): pass", True),
        ("x = e.message == 'gone'", True),
        ("if e.code == 'a.b': pass", False),
        ("print(e.message)", False),
    ],
)
def test_a_decision_by_words_is_seen(decision: str, is_seen: bool) -> None:
    module = ast.parse(f"try: f()\nexcept (Transient, OSError) as e:\n    {decision}")
    assert bool(looked_into(module, classes())) is is_seen
