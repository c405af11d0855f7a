"""What gates take the source tree to hold."""

import ast
import io
import json
import zipfile
from pathlib import Path

import gate
import notebook
import pieces
import pytest
import tree
from hypothesis import given
from hypothesis import strategies as st


def lay(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


HIDDEN = (
    "node_modules",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".git-like",
    "build",
    "site-packages",
    "a.dist-info",
)


@pytest.mark.parametrize("folder", HIDDEN)
def test_no_folders_name_hides_what_is_in_it(tmp_path: Path, folder: str) -> None:
    path = lay(tmp_path, {f"src/{folder}/run.py": b""}) / "src" / folder / "run.py"
    assert tree.files(tmp_path) == tree.python(tmp_path) == [path]


def test_python_is_what_a_name_a_links_name_or_the_first_line_says(tmp_path: Path) -> None:
    lay(
        tmp_path, {"a.py": b"", "b.pyi": b"", "c.pyw": b"", "d": b"#!/usr/bin/python3\n", "e": b"", "f": b"x"}
    )
    (tmp_path / "linked.py").symlink_to("e")
    (tmp_path / "out.py").symlink_to("/etc/hostname")
    (tmp_path / "nowhere.py").symlink_to("nothing")
    assert [path.name for path in tree.python(tmp_path)] == ["a.py", "b.pyi", "c.pyw", "d", "e"]


@pytest.mark.parametrize(
    ("data", "is_python"),
    [
        (b"import os\nos.system('x')\n", True),
        (b"# text\nfrom a import b", True),
        (b"import it into the database\n", False),
        (b'import x from "y"\n', False),
        (b'{"a": 1}', False),
        (b"", False),
    ],
)
def test_file_that_reads_as_python_and_imports_is_python_whatever_it_is_called(
    data: bytes, is_python: bool
) -> None:
    assert tree.is_python(tree.Content("notes.txt", io.BytesIO(data))) is is_python


@pytest.mark.parametrize(
    ("name", "data", "is_compiled"),
    [
        ("a.pyc", b"", True),
        ("a.so", b"", True),
        ("a.so.1", b"", True),
        ("a", b"\x7fELF\2", True),
        ("a.py", b"x", False),
    ],
)
def test_compiled_code_is_told_by_name_and_first_bytes(name: str, data: bytes, is_compiled: bool) -> None:
    assert tree.is_compiled(tree.Content(name, io.BytesIO(data))) is is_compiled


def packed(**members: bytes) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return made.getvalue()


def test_archives_are_looked_into_whatever_they_are_called(tmp_path: Path) -> None:
    lay(tmp_path, {"a.jpg": packed(b=packed(c=b"deep"), d=b"flat")})
    archives = tree.Archives()
    found = {content.name: content.whole() for content in archives.contents(tmp_path)}
    assert {"a.jpg!b!c": b"deep", "a.jpg!d": b"flat"}.items() <= found.items()
    assert not archives.unread


def _nested(times: int) -> bytes:
    data = b"x"
    for _ in range(times):
        data = packed(inner=data)
    return data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x28\xb5\x2f\xfd rest", "packed with zstd"),
        (b"\x1f\x8b broken", "cannot be unpacked"),
        (_nested(6), "packed more than 4 times over"),
        (packed(a=b"x").replace(b"PK\x03\x04", b"PK\x03\x05"), "cannot be unpacked"),
    ],
)
def test_archive_that_cannot_be_looked_into_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    archives = tree.Archives()
    list(archives.contents(lay(tmp_path, {"a.bin": data})))
    assert [says in finding.message for finding in archives.unread] == [True]
    assert archives.unread[0].path.startswith("a.bin")


def test_archive_that_unpacks_without_end_is_named(tmp_path: Path) -> None:
    archives = tree.Archives(_left=100)
    list(archives.contents(lay(tmp_path, {"a.zip": packed(a=b"x" * 60, b=b"x" * 60)})))
    assert [finding.path for finding in archives.unread] == ["a.zip!b"]


@pytest.mark.parametrize(
    "data",
    [
        b"# coding: latin-1\nimport os\nx = '\xf8'\n",
        b"#!/bin/sh\n# coding: cp1252 coding: utf-7\nx = 1\n",
        b"\xef\xbb\xbfx = 1\r\ny = 2\rz = 3\n",
        "x = 'ø'\n".encode(),
    ],
)
def test_python_is_handed_on_as_python_reads_it(data: bytes) -> None:
    text, wrong = tree.source_text("a.py", data)
    assert wrong is None
    assert ast.dump(ast.parse(text.encode())) == ast.dump(ast.parse(data))


@pytest.mark.parametrize(
    "data",
    [
        b"# coding: utf-7\n+AGkAbQBwAG8AcgB0- os\n",
        b"# coding: unicode_escape\n# \\x0aimport os\n",
        b"# coding: nothing\n",
        b"x = '\xf8'\n",
        b"x = 1\0\n",
        b"def f(:\n",
    ],
)
def test_python_that_hides_itself_or_is_none_is_a_finding(data: bytes) -> None:
    text, wrong = tree.source_text("a.py", data)
    assert (text, wrong.path if wrong else "") == ("", "a.py")


@given(st.binary(max_size=200) | st.text(alphabet="# -*cdoing:=utf8\n\r\\x'+()", max_size=80).map(str.encode))
def test_any_bytes_are_python_as_python_reads_them_or_a_finding(data: bytes) -> None:
    text, wrong = tree.source_text("a.py", data)
    if wrong is None:
        assert ast.dump(ast.parse(text.encode())) == ast.dump(ast.parse(data))


def test_notebooks_code_is_read_without_what_ipython_adds() -> None:
    cells = [
        {"cell_type": "markdown", "source": "# x"},
        {"cell_type": "code", "source": ["%time x\n", "y = 1\n", "y?"]},
    ]
    assert notebook.code("a.ipynb", json.dumps({"cells": cells}).encode()) == ("pass\ny = 1\npass\n", None)


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"cells": [1]}', b'{"cells": [{"cell_type": "code", "source": "f(:"}]}']
)
def test_notebook_that_cannot_be_read_is_a_finding(data: bytes) -> None:
    text, wrong = notebook.code("a.ipynb", data)
    assert not text
    assert isinstance(wrong, gate.Finding)


SHORT = st.sampled_from([b"a", b"\n", b"\0", b"line\n", b"\xff", b" "])


@given(st.lists(SHORT, max_size=60).map(b"".join), st.integers(0, 59), st.integers(1, 8))
def test_all_that_is_no_longer_than_the_overlap_lies_within_one_piece(
    data: bytes, start: int, length: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(pieces, "PIECE", 13)
        patched.setattr(pieces, "OVERLAP", 8)
        found = list(pieces.of(io.BytesIO(data)))
    secret = data[start : start + length]
    wanted = secret.replace(b"\0", b"")
    assert any(wanted in piece.data for piece in found)
    if secret and b"\0" not in data:
        lines = {
            piece.first_line + piece.data[:at].count(b"\n")
            for piece in found
            for at in range(len(piece.data))
            if piece.data.startswith(secret, at)
        }
        assert data[:start].count(b"\n") + 1 in lines


def test_names_that_rules_ask_for_are_kept_and_no_other() -> None:
    assert [pieces.suffix(name) for name in ("a/b.YML", "x.p12", "nuget.config", "yarn.lock", "a.svg", "go.sum")] == [
        ".yml", ".p12", "nuget.config", "", "", "",
    ]  # fmt: skip


def test_tool_that_looked_at_fewer_files_is_named_with_them() -> None:
    gate.looked_at_all("ruff", ["a", "b"], ["b", "a", "c"])
    with pytest.raises(gate.CannotEvaluate, match="ruff did not look at a, c"):
        gate.looked_at_all("ruff", ["a", "b", "c"], ["b"])
