import copy
import pickle

from slipway.errors import CatalogError, Permanent, PolicyFailed, Problem, SlipwayError, Superseded, Transient


def test_text_of_an_error_says_what_first_lines_and_what_to_do() -> None:
    error = PolicyFailed(
        "2 of 10 tests failed", code="a.b", remedy="mend them", lines=["tests/a.py:3 assert"]
    )
    assert str(error) == "2 of 10 tests failed\n  tests/a.py:3 assert\nWhat to do: mend them"
    assert str(Transient("gone", code="a.b")) == "gone"


def test_errors_survive_pickling_and_copying_between_processes() -> None:
    problem = Problem("a.yaml", 1, 2, "x", "wrong", ("y",), "y")
    errors = [
        Permanent("p", code="a.b", remedy="r", lines=["l"]),
        CatalogError("c", code="a.b", problems=[problem]),
        Superseded("s", code="a.b", by="me"),
    ]
    for error in errors:
        for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):  # noqa: S301 - our own bytes
            assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))


def test_exit_codes_are_those_of_the_command_line() -> None:
    kinds: list[type[SlipwayError]] = [PolicyFailed, CatalogError, Permanent, Transient]
    assert [kind.exit_code for kind in kinds] == [1, 2, 3, 3]


def test_problem_reads_as_editors_expect() -> None:
    assert str(Problem("a.yaml", 3, 5, "b.c", "`x` is not allowed", ("y", "z"), "y")) == (
        "a.yaml:3:5: b.c: `x` is not allowed; did you mean `y`? (legal: y, z)"
    )
    assert str(Problem("a.yaml", 0, 0, "", "empty")) == "a.yaml: empty"


def test_words_of_pushed_code_are_made_storable() -> None:
    error = PolicyFailed("a\0b\udc80", code="a.b", lines=["x" * 10_000])
    assert error.message == "a\ufffdb?"
    assert str(error).splitlines()[1] == "  " + "x" * 499 + "…"
