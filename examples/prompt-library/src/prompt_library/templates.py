"""What a template may say, what it needs, and what comes of it.

The standard library's `string.Template` replaces names by texts and can do nothing else: no expressions, no
attributes, no calls. So templates of strangers are harmless, but for their size, which is bounded here.
"""

import re
from collections.abc import Mapping
from string import Template

MAX_TEMPLATE = 8_000
MAX_RENDERED = 100_000
VARIABLE = "[a-z][a-z0-9_]*"
# the same grammar for clients, as JSON Schema's `pattern`
GRAMMAR = rf"^([^$\x00]|\$\$|\${VARIABLE}|\$\{{{VARIABLE}\}})*$"


class TemplateError(ValueError):
    """A template, or what it was given, is not right; the message says what and where."""


class _Prompt(Template):
    idpattern = f"(?a:{VARIABLE})"
    flags = (
        re.VERBOSE
    )  # without the IGNORECASE of the base: $Name is refused rather than another name for $name


def variables(template: str) -> tuple[str, ...]:
    """Give the names that a template needs, sorted.

    :raises TemplateError: a `$` that begins no variable, with its line and column
    """
    for match in _Prompt.pattern.finditer(template):
        if match["invalid"] is not None:
            before = template[: match.start()]
            line, column = before.count("\n") + 1, match.start() - (before.rfind("\n") + 1) + 1
            found = template[match.start() : match.start() + 12].partition("\n")[0]
            raise TemplateError(
                f"line {line}, column {column}: {found!r} begins no variable: "
                "write ${name} in lower case, or $$ for a dollar sign"
            )
    return tuple(sorted(_Prompt(template).get_identifiers()))


def render(template: str, values: Mapping[str, str]) -> str:
    """Give the text of a template.

    :param values: exactly what `variables` gives, with a text for each.
    :raises TemplateError: a name is missing or unknown, or the text would be longer than MAX_RENDERED
    """
    needed = set(variables(template))
    if missing := sorted(needed - set(values)):
        raise TemplateError(f"the template needs {', '.join(missing)}")
    if unknown := sorted(set(values) - needed):
        # most likely a misspelling
        raise TemplateError(
            f"the template has no {', '.join(unknown)}; it needs {', '.join(sorted(needed)) or 'nothing'}"
        )
    # before anything is built: a short template may repeat a long value thousands of times
    length = len(template) + sum(
        len(values[name])
        for match in _Prompt.pattern.finditer(template)
        if (name := match["named"] or match["braced"])
    )
    if length > MAX_TEMPLATE + MAX_RENDERED:
        raise TemplateError(f"the text would be longer than {MAX_RENDERED} characters")
    text = _Prompt(template).substitute(values)
    if len(text) > MAX_RENDERED:
        raise TemplateError(f"the text would be longer than {MAX_RENDERED} characters")
    return text
