"""Unpacks the files of a config repository, which are hostile until they are run."""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from slipway_playbook import Fault, Trouble

MOST_BYTES = 32 * 1024 * 1024
MOST_FILES = 2000


def unpack(archive: Path, folder: Path) -> None:
    """Write the files of `archive` below `folder`.

    Debian's Python 3.11.2 has no extraction filters (PEP 706) yet. So nothing is taken from an archive but names and
    contents: no owner, mode, link or device.

    :raises Fault: an entry is no plain file, lies outside, or there is too much.
    :raises Trouble: there is no archive, or it is damaged.
    """
    try:
        with gzip.open(archive) as stream:
            packed = stream.read(MOST_BYTES + 1)
        if len(packed) > MOST_BYTES:
            raise Fault(
                f"the playbook's folder has more than {MOST_BYTES >> 20} MiB: keep there only what it reads"
            )
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            for count, member in enumerate(tar):
                if count >= MOST_FILES:
                    raise Fault(
                        f"the playbook's folder has more than {MOST_FILES} files: keep there only what it reads"
                    )
                _write(tar, member, folder)
    except FileNotFoundError as error:
        raise Trouble(f"{archive} is missing: the release mounts the playbook's files there") from error
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, UnicodeError) as error:
        raise Trouble(f"{archive} is damaged: {error}") from error


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts or "\0" in member.name:
        raise Fault(f"{member.name!r} lies outside the playbook's folder")
    target = folder / path
    try:
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            return
        content = tar.extractfile(member) if member.isfile() else None
        if content is None:
            raise Fault(f"{member.name!r} is neither a file nor a folder: links are not followed")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read())
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise Fault(f"{member.name!r} is a file and a folder at once") from error
