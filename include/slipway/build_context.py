"""The folder that an image is built from: a commit's tar, unpacked so that only the commit decides what is in it.

A build of a folder is what people do by hand, and the only one that heeds `.dockerignore`: docker's client and BuildKit
do it together, by rules of their own (patterns, exceptions, `<Dockerfile>.dockerignore`). A tar on standard input is
taken as it is.
"""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import IO

from slipway.errors import PolicyFailed

FILE, PROGRAM, FOLDER = 0o644, 0o755, 0o755
"""What git knows of a file's mode, as a checkout has it under the usual umask."""


def unpack(tar: IO[bytes], folder: Path) -> None:
    """Unpack a commit's tar into an empty folder: files, folders and links, with git's modes.

    Written out, since a tar may be made to write elsewhere: each entry must be new, below a folder that was made here.

    :raises PolicyFailed: if an entry is of another kind, is there twice, or leads out of the folder.
    """
    folders, others, links = {PurePosixPath()}, set(), []
    with tarfile.open(fileobj=tar, mode="r|") as entries:
        for entry in entries:
            name = PurePosixPath(entry.name)
            if name in folders or name in others or name.parent not in folders or ".." in name.parts:
                raise _refused(entry.name, "is there twice, or lies in no folder of the repository")
            place = folder / name
            if entry.isdir():
                place.mkdir()
                folders.add(name)
                continue
            others.add(name)
            if entry.issym():
                place.symlink_to(entry.linkname)
                links.append(place)
            elif entry.isreg():
                _write(place, entries.extractfile(entry), PROGRAM if entry.mode & 0o100 else FILE)
            else:
                raise _refused(entry.name, "is neither a file nor a folder nor a link")
    root = os.path.realpath(folder)
    for link in links:  # when all are there: a link may lead through others
        if os.path.commonpath([root, os.path.realpath(link)]) != root:
            raise _refused(str(link.relative_to(folder)), "leads out of the repository")
    for name in folders:  # now that nothing is written into them any more
        (folder / name).chmod(FOLDER)


def _write(place: Path, content: IO[bytes] | None, mode: int) -> None:
    with place.open("xb") as file:
        if content is not None:
            shutil.copyfileobj(content, file)
    place.chmod(mode)  # whatever the worker's umask is


def _refused(name: str, why: str) -> PolicyFailed:
    return PolicyFailed(
        f"{name}: {why}: no image is built with it",
        code="image.context-refused",
        remedy="take it out of the commit, or commit what it stands for",
    )


def with_file(tar: IO[bytes], name: str, text: str) -> IO[bytes]:
    """Give a commit's tar with one more file."""
    more = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    shutil.copyfileobj(tar, more)
    more.seek(0)
    with tarfile.open(fileobj=more, mode="a:") as files:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(text.encode()), 0o644
        files.addfile(entry, io.BytesIO(text.encode()))
    more.seek(0)
    return more
