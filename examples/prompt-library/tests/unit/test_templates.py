"""Templates: what they need, what comes of them, and what they cannot do."""

import re

import pytest

from prompt_library import templates
from prompt_library.templates import MAX_RENDERED, TemplateError, render, variables

GOOD = [
    ("", ()),
    ("nothing", ()),
    ("${b} $a ${b}", ("a", "b")),
    ("$$5 for $$name", ()),
    ("$a_1. ${a_1}s {x}", ("a_1",)),
    ("漢字 ${name}\n🚢", ("name",)),
]
BAD = ["$", "$5", "a $ b", "${", "${}", "${a", "${A}", "$Name", "${a b}", "${a.b}", "${a[0]}", "$é", "$$$"]


@pytest.mark.parametrize(("template", "wanted"), GOOD)
def test_variables_are_the_names_sorted_and_once(template: str, wanted: tuple[str, ...]) -> None:
    assert variables(template) == wanted


@pytest.mark.parametrize("template", BAD)
def test_dollar_sign_that_begins_no_variable_is_refused(template: str) -> None:
    with pytest.raises(TemplateError, match=r"line 1, column \d+: .* begins no variable: write"):
        variables(template)


def test_mistake_is_told_with_its_place() -> None:
    with pytest.raises(TemplateError, match=r"^line 3, column 4: '\$5 off' begins no variable"):
        variables("one\n${two}\nnow$5 off\n$6")


def test_published_grammar_says_the_same() -> None:
    for template, _ in GOOD:
        assert re.fullmatch(templates.GRAMMAR, template), template
    for template in BAD:
        assert not re.fullmatch(templates.GRAMMAR, template), template


def test_text_is_filled_in_as_it_is() -> None:
    values = {"who": "$who ${what} $$ {0} %s \\1", "what": ""}
    assert render("<${who}> $what.", values) == "<$who ${what} $$ {0} %s \\1> ."


def test_variables_must_be_exactly_those_of_the_template() -> None:
    with pytest.raises(TemplateError, match=r"^the template needs a, b$"):
        render("$a ${b} $c", {"c": "x"})
    with pytest.raises(TemplateError, match=r"^the template has no costumer; it needs customer$"):
        render("$customer", {"customer": "x", "costumer": "y"})
    with pytest.raises(TemplateError, match=r"it needs nothing$"):
        render("x", {"a": ""})


def test_text_beyond_the_bound_is_refused_before_it_is_made() -> None:
    assert len(render("$a" * 10, {"a": "x" * (MAX_RENDERED // 10)})) == MAX_RENDERED
    for template in ("$a" * 10 + ".", "$a" * 4000):
        with pytest.raises(TemplateError, match=f"longer than {MAX_RENDERED} characters"):
            render(template, {"a": "x" * (MAX_RENDERED // 10)})
