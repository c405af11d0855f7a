"""YAML with places: what a file holds, where each value is, and what is wrong, by file, line, column, path.

The file is judged as hostile input: size, depth and number of values (aliases expanded) are bounded, keys are
unique text.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from slipway.errors import CatalogError, Problem

Model = TypeVar("Model", bound=BaseModel)
Place = tuple[str | int, ...]

MAX_BYTES, MAX_DEPTH, MAX_VALUES = 64 * 1024, 20, 5_000
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STRING, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


@dataclass
class _Wrong(Exception):
    """Something is wrong at a mark of the file; becomes a Problem."""

    mark: Any
    place: Place
    what: str


class _Reader:
    """Turns composed nodes into plain values, and keeps where each key and value began."""

    def __init__(self, loader: Any) -> None:
        self.loader, self.values = loader, 0
        self.keys: dict[Place, Any] = {}
        self.marks: dict[Place, Any] = {}

    def value(self, node: yaml.Node, place: Place = ()) -> Any:
        self.values += 1
        self.marks[place] = node.start_mark
        if self.values > MAX_VALUES or len(place) > MAX_DEPTH:
            raise _Wrong(
                node.start_mark,
                place[:3],
                f"more than {MAX_VALUES} values or {MAX_DEPTH} levels (aliases count in full)",
            )
        if isinstance(node, yaml.MappingNode):
            return dict(self._items(node, place))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, (*place, index)) for index, child in enumerate(node.value)]
        try:
            return self.loader.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            raise _Wrong(
                node.start_mark, place, f"`{node.value[:80]}` cannot be read as {node.tag[:80]}"
            ) from error

    def _items(self, node: yaml.MappingNode, place: Place) -> Iterator[tuple[str, Any]]:
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in (_STRING, _MERGE):
                raise _Wrong(key.start_mark, place, "a key must be text; write it in quotes")
            inner = (*place, key.value)
            if inner in self.keys:
                first = self.keys[inner].line + 1
                raise _Wrong(
                    key.start_mark, inner, f"the key is given twice (first in line {first}); keep one"
                )
            self.keys[inner] = key.start_mark
            yield key.value, self.value(child, inner)


def _said(place: Place) -> str:
    """Gives a place as people write it: `deploy.kinds[2]`."""
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else part for part in place))


def _parse(path: Path) -> tuple[Any, _Reader]:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CatalogError(
            f"{path}: cannot be read: {error.strerror}.", remedy="Check the path and its permissions."
        ) from error
    if len(raw) > MAX_BYTES:
        raise _Wrong(None, (), f"larger than {MAX_BYTES // 1024} KiB")
    loader = None
    try:
        depth = 0
        for event in yaml.parse(
            raw, Loader=_Loader
        ):  # composing recurses in C: hostile depth would end the process
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _Wrong(event.start_mark, (), f"more than {MAX_DEPTH} levels")
        loader = _Loader(raw)
        if (node := loader.get_single_node()) is None:
            raise _Wrong(None, (), "the file is empty")
        reader = _Reader(loader)
        return reader.value(node), reader
    except yaml.MarkedYAMLError as error:
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        raise _Wrong(error.problem_mark or error.context_mark, (), f"not YAML: {what}") from error
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        raise _Wrong(
            None, (), f"not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        ) from error
    finally:
        if loader is not None:
            loader.dispose()


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


def _problem(path: Path, model: type[BaseModel], error: Any, reader: _Reader) -> Problem:
    kind, place = error["type"], tuple(part for part in error["loc"] if part != "[key]")
    what = str(error["msg"]).replace("Input should", "must")
    legal: tuple[str, ...] = ()
    meant, at = None, place
    given = error["input"]
    if kind == "extra_forbidden":
        legal = _words_at(model, place[:-1])
        what = f"`{place[-1]}` is not a word of the catalog here"
        meant = next(iter(difflib.get_close_matches(str(place[-1]), legal, 1, 0.6)), None)
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
    marks = reader.keys if on_key else reader.marks
    while at and at not in marks:
        at = at[:-1]
    mark = marks.get(at) or reader.marks[()]
    return Problem(str(path), mark.line + 1, mark.column + 1, _said(place), what, legal, meant)


def read(path: Path, model: type[Model]) -> Model:
    """Reads a YAML file as a model.

    :raises CatalogError: with one problem for each thing that is wrong in the file.
    """
    try:
        data, reader = _parse(path)
    except _Wrong as wrong:
        line, column = (wrong.mark.line + 1, wrong.mark.column + 1) if wrong.mark else (0, 0)
        raise refused([Problem(str(path), line, column, _said(wrong.place), wrong.what)]) from wrong.__cause__
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        raise refused(_problem(path, model, one, reader) for one in found) from None


def position(path: Path, place: Place) -> tuple[int, int]:
    """Gives line and column of a value that a file is known to have, counted from 1."""
    mark = _parse(path)[1].marks[place]
    return mark.line + 1, mark.column + 1


def refused(problems: Any) -> CatalogError:
    """Gives the error for problems found in catalog files, in the order of the files and lines."""
    ordered = sorted(problems, key=lambda one: (one.file, one.line, one.column))
    count = f"{len(ordered)} problems" if len(ordered) > 1 else "1 problem"
    return CatalogError(
        f"{count} in the catalog:",
        remedy="Correct the file; docs/catalog.md says what each word means, `slipway lint` checks it.",
        problems=ordered,
    )
