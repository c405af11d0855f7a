"""What the source tree holds: the one list that every gate is held to.

An image can hold whatever is committed, so nothing is left out for its name: not `node_modules`, not `.venv`, not a file
without suffix. Archives are looked into, since `ADD` unpacks them and Python imports from them. What cannot be looked
into is a finding that names it.
"""

from __future__ import annotations

import ast
import bz2
import gzip
import io
import lzma
import os
import re
import tarfile
import tokenize
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from gate import SOURCE, CannotEvaluate, Finding

PYTHON = (".py", ".pyi", ".pyw")
COMPILED = re.compile(r".+\.(?:py[cod]|so(?:\.[0-9.]+)?|dll|dylib)$", re.IGNORECASE)
DEPTH, MEMBER_BYTES, ALL_BYTES = 4, 64 << 20, 512 << 20
GUESSED_BYTES = 4 << 20  # of a file whose name does not say what it is
SHEBANG = re.compile(rb"#![^\n]*python")
IMPORTS = re.compile(rb"^[ \t]*(?:import|from)[ \t]+[\w.]", re.MULTILINE)
COOKIE = re.compile(r"^[ \t\f]*#.*?coding[:=]")
PLAIN = (
    bytes(range(128)).replace(b"\\", b"") + rb"\n\x41\u0041+AGkA-"
)  # what an encoding must not make anything else of
UNPACKED = "commit what is in it as plain files, or make it a .zip or .tar.gz"
FORMATS = {  # that Python's library does not read
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x04\x22\x4d\x18": "lz4",
    b"\x1f\x9d": "compress",
}
STREAMS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
BROKEN = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,  # an encrypted member; NotImplementedError is one: a way of packing
    KeyError,
    zlib.error,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
)


@dataclass
class Content:
    """A file, or a member of an archive (`lib.zip!lib/a.py`), with the names of the links that lead to it."""

    name: str
    stream: BinaryIO
    links: tuple[str, ...] = ()

    def head(self, size: int = 512) -> bytes:
        """Give the first bytes."""
        self.stream.seek(0)
        return self.stream.read(size)

    def whole(self) -> bytes:
        """Give all of it."""
        self.stream.seek(0)
        return self.stream.read()


def files(root: Path | None = None) -> list[Path]:
    """Give every file of the tree, sorted; links are not among them, what they lead to is.

    :raises CannotEvaluate: if a folder cannot be listed.
    """

    def unread(error: OSError) -> None:
        raise CannotEvaluate(
            f"{error.filename} cannot be listed ({error.strerror}): fill the source volume anew"
        )

    found = []
    for folder, _, names in os.walk(root or SOURCE, onerror=unread):
        found += [path for name in names if not (path := Path(folder, name)).is_symlink() and path.is_file()]
    return sorted(found)


def links(root: Path | None = None) -> dict[Path, list[str]]:
    """Give the names of the links that lead to a file of the tree, by that file."""
    top, found = (root or SOURCE).resolve(), defaultdict(list)
    for folder, _, names in os.walk(top):
        for path in (Path(folder, name) for name in sorted(names)):
            if path.is_symlink() and (target := path.resolve()).is_relative_to(top) and target.is_file():
                found[target].append(str(path.relative_to(top)))
    return dict(found)


def python(root: Path | None = None) -> list[Path]:
    """Give every file that Python runs or imports by its name, a link's name or its first line."""
    top = root or SOURCE
    linked = links(top)
    return [path for path in files(top) if _is_named(path.name, linked.get(path.resolve(), ()), _head(path))]


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(512)


def _is_named(name: str, linked: list[str] | tuple[str, ...], head: bytes) -> bool:
    return any(one.endswith(PYTHON) for one in (name, *linked)) or bool(SHEBANG.match(head))


def is_python(content: Content) -> bool:
    """Whether Python can run it: by its name, a link's, its first line; or since it reads as Python and imports something."""
    if _is_named(content.name, content.links, content.head()):
        return True
    data = content.head(GUESSED_BYTES)
    if b"\0" in data or not IMPORTS.search(data):
        return False
    try:
        return any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(ast.parse(data)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def is_compiled(content: Content) -> bool:
    """Whether it is code that no scanner reads."""
    return content.head(4) == b"\x7fELF" or bool(COMPILED.match(content.name))


@dataclass
class Archives:
    """Looks into what is packed, within bounds; ``unread`` is what could not be looked into."""

    unread: list[Finding] = field(default_factory=list)
    _left: int = ALL_BYTES

    def contents(self, root: Path | None = None) -> Iterator[Content]:
        """Give every file of the tree, each followed by what is packed in it."""
        top = root or SOURCE
        linked = links(top)
        for path in files(top):
            with path.open("rb") as stream:
                names = tuple(linked.get(path.resolve(), ()))
                yield from self.within(Content(str(path.relative_to(top)), stream, names))

    def within(self, content: Content, depth: int = 0) -> Iterator[Content]:
        """Give it, and what is packed in it."""
        yield content
        head = content.head()
        if unknown := next((form for magic, form in FORMATS.items() if head.startswith(magic)), None):
            self._refuse(content.name, f"is packed with {unknown}, which no scanner here looks into")
            return
        opened = _packed(content, head)
        if opened is None:
            return
        if depth >= DEPTH:
            self._refuse(content.name, f"is packed more than {DEPTH} times over")
            return
        try:
            for name, stream in opened:
                data = stream.read(min(MEMBER_BYTES, self._left) + 1)
                if len(data) > min(MEMBER_BYTES, self._left):
                    self._refuse(
                        f"{content.name}!{name}", f"is too large to be looked into ({MEMBER_BYTES >> 20} MiB)"
                    )
                    return
                self._left -= len(data)
                yield from self.within(Content(f"{content.name}!{name}", io.BytesIO(data)), depth + 1)
        except BROKEN as error:
            self._refuse(content.name, f"cannot be unpacked ({type(error).__name__}: {error})")

    def _refuse(self, name: str, why: str) -> None:
        self.unread.append(Finding(name, 0, "unread-archive", why, UNPACKED))


def _packed(content: Content, head: bytes) -> Iterator[tuple[str, BinaryIO]] | None:
    """Give the members of an archive, or None if it is none. What it is, its bytes say and not its name."""
    stream = content.stream
    if zipfile.is_zipfile(stream):
        return _zipped(stream)
    opener = next((opener for magic, opener in STREAMS.items() if head.startswith(magic)), None)
    if not opener and b"\0" not in head:
        return None
    try:
        stream.seek(0)
        return _tarred(tarfile.open(fileobj=stream, mode="r:*"))
    except (tarfile.TarError, *BROKEN):
        if not opener:
            return None
    stream.seek(0)
    return iter([(Path(content.name).stem, opener(stream))])  # type: ignore[operator]


def _zipped(stream: BinaryIO) -> Iterator[tuple[str, BinaryIO]]:
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if not member.is_dir():
                with archive.open(member) as opened:
                    yield member.filename, opened  # type: ignore[misc]


def _tarred(archive: tarfile.TarFile) -> Iterator[tuple[str, BinaryIO]]:
    with archive:
        for member in archive:
            if member.isfile() and (opened := archive.extractfile(member)):
                yield member.name, opened  # type: ignore[misc]


def source_text(name: str, data: bytes) -> tuple[str, Finding | None]:
    """Give Python's own reading of a file as plain text (UTF-8, one kind of line end), and what is wrong with it.

    Scanners guess at encodings and line ends, and would read something else than Python runs.
    """
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        if PLAIN.decode(encoding) != PLAIN.decode("ascii"):
            raise SyntaxError(f"the encoding {encoding} hides code from whoever reads it: write it in UTF-8")
        text = data.decode(encoding).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        lines = text.split("\n")
        lines[:2] = [line.replace("coding", "c-ding") if COOKIE.match(line) else line for line in lines[:2]]
        text = "\n".join(lines)
        compile(text, name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, LookupError, RecursionError, MemoryError, OverflowError) as error:
        line = getattr(error, "lineno", 0) or 0
        said = getattr(error, "msg", "") or str(error) or "it is nested too deeply to be read"
        return "", Finding(
            name, line, "syntax", said, "a scanner cannot read what is no Python: mend or remove it"
        )
    return text, None
