"""YAML with places: what a file says, and where each key and value of it is; a key that is there twice is an error.

Two kinds of files are read, by one reader: the catalog's, with PyYAML's own scalars, and manifests, as Kubernetes reads them
(sigs.k8s.io/yaml, which makes JSON of them). A file is judged as hostile input: size, depth and number of values (aliases
expanded) are bounded, keys are unique text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Place = tuple[str | int, ...]
"""The way to a value: keys of mappings, indexes of lists."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_PLAIN = "!plain"


class _PlainLoader(_Loader):  # type: ignore[misc] # its base is chosen at run time
    """Leaves what stands without quotes to us: PyYAML takes `22:22` for a number, and a day for a date."""


_PlainLoader.yaml_implicit_resolvers = {}
_PlainLoader.add_implicit_resolver(_PLAIN, re.compile(""), None)


@dataclass(frozen=True)
class Dialect:
    """How a kind of file is read.

    :param bytes_, depth, values: the most that a file may have.
    :param kubernetes: scalars, merge keys and encodings as Kubernetes has them, several documents; otherwise PyYAML's.
    """

    bytes_: int
    depth: int
    values: int
    kubernetes: bool = False

    @property
    def loader(self) -> Any:
        """PyYAML's class that reads it."""
        return _PlainLoader if self.kubernetes else _Loader


CATALOG = Dialect(64 * 1024, 20, 5_000)
MANIFEST = Dialect(3 << 20, 64, 100_000, kubernetes=True)  # etcd keeps 1.5 MB of an object


@dataclass
class NotRead(Exception):
    """A file cannot be read, for what is at one place of it. Lines and columns count from 1; 0 is the whole file."""

    line: int
    column: int
    place: Place
    what: str

    @property
    def said(self) -> str:
        """What is wrong, behind the place as people write it."""
        return f"{spelled(self.place)}: {self.what}" if self.place else self.what


@dataclass
class Document:
    """One document of a file: its value, and line and column of each of its keys and values."""

    value: Any
    keys: dict[Place, tuple[int, int]] = field(default_factory=dict)
    marks: dict[Place, tuple[int, int]] = field(default_factory=dict)

    def at(self, place: Place = ()) -> tuple[int, int]:
        """Give where a key is, or else a value, or else the nearest thing around it."""
        while place and place not in self.keys and place not in self.marks:
            place = place[:-1]
        return self.keys.get(place) or self.marks.get(place) or (1, 1)


def spelled(place: Place) -> str:
    """Give a place as people write it: `deploy.kinds[2]`."""
    return re.sub(r"\.\[", "[", ".".join(f"[{part}]" if isinstance(part, int) else part for part in place))


def documents(raw: bytes, dialect: Dialect) -> list[Document]:
    """Give the documents of a file, empty ones left out.

    :raises NotRead: if the file is not YAML, too large, ambiguous, or says a thing twice.
    """
    if len(raw) > dialect.bytes_:
        raise NotRead(0, 0, (), f"larger than {dialect.bytes_ // 1024} KiB")
    if dialect.kubernetes and (raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in raw):
        raise NotRead(0, 0, (), "it is not UTF-8 (it may be UTF-16); save it as UTF-8")
    loader = None
    try:
        _check_depth(raw, dialect)
        loader, found = dialect.loader(raw), []
        while loader.check_node():
            reader = _Reader(loader, dialect)
            node = loader.get_node()
            if not _is_empty(node):
                reader.document.value = reader.value(node)
                found.append(reader.document)
        return found
    except yaml.MarkedYAMLError as error:
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        mark = error.problem_mark or error.context_mark
        raise NotRead(*_position(mark), (), f"not YAML: {what}") from error
    except (yaml.YAMLError, UnicodeError, RecursionError) as error:
        first = next(iter(str(error).splitlines()), "") or "levels without end"
        raise NotRead(0, 0, (), f"not YAML: {first}") from error
    finally:
        if loader is not None:
            loader.dispose()


def _check_depth(raw: bytes, dialect: Dialect) -> None:
    """Composing recurses in C: hostile depth would end the process."""
    depth = 0
    for event in yaml.parse(raw, Loader=dialect.loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > dialect.depth:
            raise NotRead(*_position(event.start_mark), (), f"more than {dialect.depth} levels")


def _position(mark: Any) -> tuple[int, int]:
    return (mark.line + 1, mark.column + 1) if mark else (0, 0)


def _is_empty(node: yaml.Node) -> bool:
    """Whether there is nothing between two `---`, or a comment only."""
    return isinstance(node, yaml.ScalarNode) and node.value == "" and not node.style


class _Reader:
    """Turns a document's composed nodes into plain values, and keeps where each key and value began."""

    def __init__(self, loader: Any, dialect: Dialect) -> None:
        self.loader, self.dialect, self.count = loader, dialect, 0
        self.document = Document(None)

    def wrong(self, node: yaml.Node, place: Place, what: str) -> NotRead:
        return NotRead(*_position(node.start_mark), place, what)

    def value(self, node: yaml.Node, place: Place = (), depth: int = 0) -> Any:
        self.counted(node, place, depth)
        self.document.marks.setdefault(place, _position(node.start_mark))
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node, place)
        if self.dialect.kubernetes and node.tag not in (_CORE + "map", _CORE + "seq"):
            raise self.wrong(node, place, f"the tag {node.tag[:80]} is not read here; leave it out")
        if isinstance(node, yaml.MappingNode):
            return self.mapping(node, place, depth)
        return [self.value(child, (*place, index), depth + 1) for index, child in enumerate(node.value)]

    def counted(self, node: yaml.Node, place: Place, depth: int) -> None:
        self.count += 1
        if self.count > self.dialect.values or depth > self.dialect.depth:
            what = f"more than {self.dialect.values} values or {self.dialect.depth} levels (aliases count in full)"
            raise self.wrong(node, place[:3], what)

    def mapping(self, node: yaml.MappingNode, place: Place, depth: int) -> dict[str, Any]:
        seen, own, merged = dict[str, Any](), dict[str, Any](), dict[str, Any]()
        for key, child in node.value:
            inner = (*place, self.key(key, place))
            name = str(inner[-1])
            if name in seen:
                first = seen[name].line + 1
                raise self.wrong(key, inner, f"the key is given twice (first in line {first}); keep one")
            seen[name] = key.start_mark
            if self.dialect.kubernetes and key.tag == _PLAIN and name == "<<":
                merged = self.merged(key, child, place, depth)
                # goyaml lets what is merged win over what stands before it; everybody else does not
                if both := [one for one in own if one in merged]:
                    raise self.wrong(
                        key, inner, f"it comes after `{both[0]}`, which it has, too; put << first"
                    )
            else:
                self.document.keys[inner] = _position(key.start_mark)
                self.document.marks.pop(inner, None)  # of the same key, merged
                own[name] = self.value(child, inner, depth + 1)
        return {**merged, **own}

    def key(self, key: yaml.Node, place: Place) -> str:
        is_text = isinstance(key, yaml.ScalarNode) and (
            isinstance(self.scalar(key, place), str)
            if self.dialect.kubernetes
            else key.tag in (_CORE + "str", _CORE + "merge")
        )
        if not is_text:
            raise self.wrong(key, place, "a key must be text; write it in quotes")
        return str(key.value)

    def merged(self, key: yaml.Node, node: yaml.Node, place: Place, depth: int) -> dict[str, Any]:
        """Give what `<<` brings: of several mappings the first that has a key says its value."""
        found: dict[str, Any] = {}
        for one in node.value if isinstance(node, yaml.SequenceNode) else [node]:
            if not isinstance(one, yaml.MappingNode):
                raise self.wrong(key, place, "<< takes a mapping, or a list of them")
            self.counted(one, place, depth)
            found = {**self.mapping(one, place, depth + 1), **found}
        return found

    def scalar(self, node: yaml.ScalarNode, place: Place) -> Any:
        try:
            if not self.dialect.kubernetes:
                return self.loader.construct_object(node)
            return _scalar(node)
        except _Unclear as error:
            raise self.wrong(node, place, str(error)) from error
        except (yaml.YAMLError, ValueError) as error:
            what = f"`{node.value[:80]}` cannot be read as {node.tag[:80]}"
            raise self.wrong(node, place, what) from error


# --- what a scalar of a manifest is: goyaml.v2, resolve.go, of which sigs.k8s.io/yaml has a copy ---

_NULL = ("", "~", "null", "Null", "NULL")
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_LIKE_BOOL = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), "true"),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), "false"),
}
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


class _Unclear(ValueError):
    """A scalar that readers of YAML take for different things, or that JSON has not."""


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    if not is_text(text):
        raise _Unclear("it has a NUL or half of a character, which no part of the pipeline takes")
    if node.tag == _CORE + "str":
        return text
    if node.tag != _PLAIN:
        raise _Unclear(
            f"the tag {node.tag.replace(_CORE, '!!')[:80]} is not read here; write the value, or text in quotes"
        )
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text in _LIKE_BOOL:
        raise _Unclear(
            f'`{text}` is {_LIKE_BOOL[text]} for some readers of YAML, text for others; write {_LIKE_BOOL[text]}, or "{text}"'
        )
    return _number(text)


def _number(text: str) -> Any:
    """Give a number, or the text if it is none. Days and times are text, as they are for Kubernetes."""
    digits = text.replace("_", "") if text[:1] != "_" else text
    if _INTEGER.fullmatch(digits):
        value = int(re.sub(r"^([-+]?)0(?=[0-7])", r"\g<1>0o", digits), 0)
        if not -(2**63) <= value < 2**63:
            raise _Unclear(f"`{text[:80]}` is too large for a number; write it in quotes")
        return value
    if _FLOAT.fullmatch(digits):
        if re.match(r"[-+]?0[0-9]", digits):
            raise _Unclear(
                f'`{text[:80]}` is a number for some readers of YAML, text for others; write "{text[:80]}"'
            )
        number = float(digits)
        if not math.isfinite(number):
            raise _Unclear(f"`{text[:80]}` is too large for a number; write it in quotes")
        return int(number) if number.is_integer() and abs(number) < 2**53 else number
    if _NOT_FINITE.fullmatch(text):
        raise _Unclear(f'`{text}` is no number that JSON has; write "{text}"')
    return text


def is_text(value: str) -> bool:
    """Whether PostgreSQL and UTF-8 have it: no NUL, no half of a character."""
    return "\0" not in value and not any("\ud800" <= one <= "\udfff" for one in value)
