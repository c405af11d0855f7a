"""A catalog file as a model, and what is wrong in it, by file, line, column, path."""

from __future__ import annotations

import difflib
import re
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from slipway import strict_yaml
from slipway.errors import CatalogError, Problem
from slipway.strict_yaml import Document, NotRead, spelled

Model = TypeVar("Model", bound=BaseModel)
Place = strict_yaml.Place

RENAMED = {"toolbox": "stack"}
"""Words that older files have, and what they are called now."""


def _parse(path: Path) -> Document:
    try:
        with path.open("rb") as file:
            raw = file.read(strict_yaml.CATALOG.bytes_ + 1)
    except OSError as error:
        raise CatalogError(
            f"{path}: cannot be read: {error.strerror}.",
            code="catalog.unreadable",
            remedy="Check the path and its permissions.",
        ) from error
    found = strict_yaml.documents(raw, strict_yaml.CATALOG)
    if not found:
        raise NotRead(0, 0, (), "the file is empty")
    if len(found) > 1:
        raise NotRead(*found[1].at(), (), "a single document is expected; a second begins here")
    return found[0]


def _words_at(model: Any, place: Place) -> tuple[str, ...]:
    """Gives the words that are legal in the mapping at a place, in the reference's order; perhaps none."""
    for part in place:
        inner = model.model_fields.get(part) if isinstance(part, str) else None
        if inner is None:
            return ()
        models = [
            kind for kind in (inner.annotation, *get_args(inner.annotation)) if hasattr(kind, "model_fields")
        ]
        if not models:
            return ()
        model = models[0]
    return tuple(model.model_fields)


def _problem(path: Path, model: type[BaseModel], error: Any, document: Document) -> Problem:
    kind, place = error["type"], tuple(part for part in error["loc"] if part != "[key]")
    what = str(error["msg"]).replace("Input should", "must")
    legal: tuple[str, ...] = ()
    meant, at = None, place
    given = error["input"]
    if kind == "extra_forbidden":
        legal = _words_at(model, place[:-1])
        what = f"`{place[-1]}` is not a word of the catalog here"
        meant = next(iter(difflib.get_close_matches(str(place[-1]), legal, 1, 0.6)), None)
        if (now := RENAMED.get(str(place[-1]))) in legal:
            meant = now
    elif kind == "missing":
        what, at = f"`{place[-1]}` is missing", place[:-1]
    elif kind == "literal_error":
        legal = tuple(re.findall(r"'([^']*)'", error["ctx"]["expected"]))
        what = f"`{str(given)[:80]}` is not allowed"
        meant = next(iter(difflib.get_close_matches(str(given), legal, 1, 0.6)), None)
    elif kind in ("string_type", "int_type", "bool_type", "tuple_type", "dict_type", "model_type"):
        wanted = {"string": "text", "int": "a whole number", "bool": "true or false", "tuple": "a list"}
        got = "nothing" if given is None else f"{'the text ' * isinstance(given, str)}`{str(given)[:80]}`"
        what = f"{got} is given where {wanted.get(kind.removesuffix('_type'), 'a mapping')} is needed"
        if kind == "string_type" and isinstance(given, (int, float)):
            what += "; write it in quotes"
        legal = _words_at(model, place) if kind == "model_type" else ()
    elif kind in ("greater_than_equal", "less_than_equal"):
        bound = "at least {ge}" if "ge" in error["ctx"] else "at most {le}"
        what = f"`{str(given)[:80]}` is not {bound.format(**error['ctx'])}"
    on_key = kind == "extra_forbidden" or "[key]" in error["loc"] or (kind == "missing" and bool(at))
    marks = document.keys if on_key else document.marks
    while at and at not in marks:
        at = at[:-1]
    return Problem(str(path), *(marks.get(at) or document.marks[()]), spelled(place), what, legal, meant)


def read(path: Path, model: type[Model]) -> Model:
    """Reads a YAML file as a model.

    :raises CatalogError: with one problem for each thing that is wrong in the file.
    """
    try:
        document = _parse(path)
    except NotRead as wrong:
        found = [Problem(str(path), wrong.line, wrong.column, spelled(wrong.place), wrong.what)]
        raise refused(found) from wrong.__cause__
    try:
        return model.model_validate(document.value)
    except ValidationError as error:
        raise refused(
            _problem(path, model, one, document) for one in error.errors(include_url=False)
        ) from None


def position(path: Path, place: Place) -> tuple[int, int]:
    """Gives line and column of a value that a file is known to have, counted from 1."""
    return _parse(path).marks[place]


def refused(problems: Any) -> CatalogError:
    """Gives the error for problems found in catalog files, in the order of the files and lines."""
    ordered = sorted(problems, key=lambda one: (one.file, one.line, one.column))
    count = f"{len(ordered)} problems" if len(ordered) > 1 else "1 problem"
    return CatalogError(
        f"{count} in the catalog:",
        code="catalog.invalid",
        remedy="Correct the file; docs/catalog.md says what each word means, `slipway lint` checks it.",
        problems=ordered,
    )
