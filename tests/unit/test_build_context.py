"""The folder that an image is built from: what the commit's tar says, and nothing beside it."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from slipway.build_context import unpack, with_file
from slipway.errors import PolicyFailed

Entry = tuple[str, bytes, str]
"""Name, type of tar, and content or target."""


def packed(*entries: Entry, mode: int = 0o664) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, text in entries:
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.uid, info.gid = kind, mode, 4242, 4242
            info.linkname = text if kind != tarfile.REGTYPE else ""
            info.size = len(text.encode()) if kind == tarfile.REGTYPE else 0
            tar.addfile(info, io.BytesIO(text.encode()) if kind == tarfile.REGTYPE else None)
    out.seek(0)
    return out


FILE, FOLDER, LINK = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE


def modes(folder: Path) -> dict[str, int]:
    return {
        str(one.relative_to(folder)): stat.S_IMODE(one.lstat().st_mode)
        for one in [folder, *folder.rglob("*")]
        if not one.is_symlink()
    }


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_are_gits_whatever_the_workers_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        tar = packed(("a", FOLDER, ""), ("a/b", FILE, "text"), ("a/l", LINK, "../a/b"), ("empty", FOLDER, ""))
        unpack(tar, tmp_path)
    finally:
        os.umask(before)
    assert modes(tmp_path) == {".": 0o755, "a": 0o755, "a/b": 0o644, "empty": 0o755}
    assert (tmp_path / "a/l").read_text() == "text"


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o4755, 0o7777])
def test_of_a_mode_only_that_it_runs_is_kept(tmp_path: Path, mode: int) -> None:
    unpack(packed(("run", FILE, ""), mode=mode), tmp_path)
    assert modes(tmp_path)["run"] == 0o755


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ([("../x", FILE, "x")], "lies in no folder"),
        ([("/x", FILE, "x")], "lies in no folder"),
        ([("a", FOLDER, ""), ("a/../../x", FILE, "x")], "lies in no folder"),
        ([("a", LINK, "/etc"), ("a/x", FILE, "x")], "lies in no folder"),
        ([("a", LINK, "b"), ("a", FILE, "x")], "is there twice"),
        ([("a", FILE, "x"), ("a", FOLDER, "")], "is there twice"),
        ([("a", tarfile.LNKTYPE, "/etc/passwd")], "is neither a file nor a folder nor a link"),
        ([("a", tarfile.FIFOTYPE, "")], "is neither a file nor a folder nor a link"),
        ([("a", tarfile.CHRTYPE, "")], "is neither a file nor a folder nor a link"),
        ([("a", LINK, "/etc/passwd")], "leads out of the repository"),
        ([("a", LINK, "../x")], "leads out of the repository"),
        ([("d", FOLDER, ""), ("d/up", LINK, ".."), ("a", LINK, "d/up/../x")], "leads out of the repository"),
        ([("a", LINK, "b"), ("b", LINK, "/")], "leads out of the repository"),
    ],
)
def test_entry_that_would_lie_or_lead_elsewhere_is_refused(
    tmp_path: Path, entries: list[Entry], says: str
) -> None:
    folder = tmp_path / "in" / "context"
    folder.mkdir(parents=True)
    with pytest.raises(PolicyFailed, match=says):
        unpack(packed(*entries), folder)
    assert sorted(str(one.relative_to(tmp_path)) for one in tmp_path.glob("*")) == ["in"]
    assert [one.name for one in (tmp_path / "in").iterdir()] == ["context"]


names = st.sampled_from(["a", "b", "a/b", "a/b/c", "..", "../x", "/x", "a/..", ".", "b/a"])
entries = st.tuples(
    names, st.sampled_from([FILE, FOLDER, LINK]), st.sampled_from(["a", "..", "../..", "/", "b", "."])
)


@example([("a", LINK, "a")])
@given(st.lists(entries, max_size=6))
def test_nothing_is_ever_written_or_reached_beyond_the_folder(tree: list[Entry]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "in" / "context"
        folder.mkdir(parents=True)
        try:
            unpack(packed(*tree), folder)
        except PolicyFailed:
            pass
        else:
            for one in folder.rglob("*"):
                # not resolve(): a link may lead to itself, which harms nobody
                assert Path(os.path.realpath(one)).is_relative_to(os.path.realpath(folder))
        assert [str(one.relative_to(made)) for one in Path(made).glob("*/*")] == ["in/context"]


def test_one_more_file_is_in_the_folder(tmp_path: Path) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        entry = tarfile.TarInfo("a")
        entry.size = 1
        tar.addfile(entry, io.BytesIO(b"1"))
    out.seek(0)
    unpack(with_file(out, "Dockerfile", "FROM scratch\n"), tmp_path)
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "a": "1",
        "Dockerfile": "FROM scratch\n",
    }
