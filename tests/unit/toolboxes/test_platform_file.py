"""The images' part of a platform file: only the references change."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import CatalogError
from slipway.toolboxes.platform_file import part, rewritten, write

FILE = """\
# ours
environment: staging
images:                                # by digest
  base-python: registry/old/base-python@sha256:1   # of March

  toolbox-python: registry/old/toolbox-python@sha256:2
# where they come from
registry: {address: registry.example.com}
"""
NAMES = st.sampled_from(["base-debian", "base-python", "base", "toolbox-python", "toolbox-python-2", "a.b_c"])
REFS = st.integers(0, 99).map(lambda number: f"registry.example.com/x@sha256:{number:064}")
IMAGES = st.dictionaries(NAMES, REFS, min_size=1, max_size=5)


def test_references_are_replaced_and_all_else_stays() -> None:
    assert rewritten(FILE, {"toolbox-scan": "r/s@sha256:3", "base-python": "r/b@sha256:4"}) == FILE.replace(
        "registry/old/base-python@sha256:1", "r/b@sha256:4"
    ).replace("toolbox-python@sha256:2\n", "toolbox-python@sha256:2\n  toolbox-scan: r/s@sha256:3\n")


@given(old=IMAGES, new=IMAGES, before=st.booleans(), after=st.booleans())
def test_the_new_win_and_the_others_stay(
    old: dict[str, str], new: dict[str, str], before: bool, after: bool
) -> None:
    text = ("environment: staging\n" if before else "") + part(old) + ("git: {url: x}\n" if after else "")
    found = yaml.safe_load(rewritten(text, new))
    assert found == {**yaml.safe_load(text), "images": {**old, **new}}


@pytest.mark.parametrize(
    "empty", ["", "images:\n", "images: {}\n", "images: {}  # none yet\ngit: {url: x}", "git: {url: x}"]
)
def test_file_without_images_gets_them(empty: str) -> None:
    found = yaml.safe_load(rewritten(empty, {"a": "r/a@sha256:1"}))
    assert found == {**(yaml.safe_load(empty) or {}), "images": {"a": "r/a@sha256:1"}}


@pytest.mark.parametrize(
    "text",
    [
        "images: {a: r/a@sha256:1, b: x}\n",
        "images:\n  a:\n    r/a@sha256:1\n",
        'images:\n  "a": r/a@sha256:1\n',
    ],
)
def test_what_is_written_otherwise_is_left_alone(text: str) -> None:
    with pytest.raises(CatalogError, match="one image a line"):
        rewritten(text, {"a": "r/a@sha256:2"})


@pytest.mark.parametrize("text", ["- a\n", "images: x\n", "a: [\n"])
def test_what_is_no_platform_file_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_text(text)
    with pytest.raises(CatalogError, match="no platform file"):
        write(file, {"a": "r/a@sha256:2"}, {})
    assert file.read_text() == text


def test_file_is_written_whole_with_its_mode_or_made(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    write(file, {"a": "r/a@sha256:1"}, {})
    assert file.read_text() == "images:\n  a: r/a@sha256:1\n"
    file.chmod(0o600)
    write(file, {"a": "r/a@sha256:2"}, {})
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("images:\n  a: r/a@sha256:2\n", 0o600)
    with pytest.raises(CatalogError, match="cannot be written"):
        write(tmp_path / "none/platform.yaml", {"a": "r/a@sha256:2"}, {})


def test_bases_by_public_names_have_a_part_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "platform.yaml"
    file.write_text(FILE)
    for digest in ("1", "2"):
        write(file, {"base-python": "r/b@sha256:4"}, {"python:3.11-slim": f"r/p@sha256:{digest}"})
    found = yaml.safe_load(file.read_text())
    assert found["base_images"] == {"python:3.11-slim": "r/p@sha256:2"}
    assert found["images"]["base-python"] == "r/b@sha256:4"
    assert "# of March" in file.read_text()
