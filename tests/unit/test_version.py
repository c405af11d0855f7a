"""Two states of the code are two versions."""

from __future__ import annotations

import re
from pathlib import Path

from slipway import __version__, version


def test_version_names_the_release_and_the_code() -> None:
    assert re.fullmatch(rf"{re.escape(__version__)}\+[0-9a-f]{{8}}", version.this())


def test_code_that_differs_is_another_version_and_what_is_no_code_is_not(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\n")
    first = version._code(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "notes.md").write_text("x")
    assert version._code(tmp_path) == first
    (tmp_path / "b.py").write_text("")
    second = version._code(tmp_path)
    (tmp_path / "a.py").write_text("x = 2\n")
    assert len({first, second, version._code(tmp_path)}) == 3
