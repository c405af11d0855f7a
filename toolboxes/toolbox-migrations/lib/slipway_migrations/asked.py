"""What the answer of `status` is made of, as one hash: where that is as it was, so is the answer, and no JVM need start."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from slipway_migrations.database import Session


def digest(folder: Path, chosen: Sequence[str], session: Session, tables: Sequence[str]) -> str | None:
    """Give a hash of the changelog, of what is chosen of it, and of what the database says that it has.

    :param folder: all that the image holds of the changelog. :param chosen: everything else that decides the answer.
    :param tables: where the engine keeps its history. Without the first, the answer hangs on whatever else the database holds.
    :return: None without a history
    """
    if not session.holds(tables[0]):
        return None
    found = hashlib.sha256()
    for part in (*chosen, str(session.version), *_files(folder)):
        _add(found, os.fsencode(part) if isinstance(part, str) else part)
    for table in tables:
        there = session.holds(table)
        # the names are the engines' own
        rows = session.rows(f"select one::text from {table} one order by 1") if there else []  # noqa: S608
        _add(found, table.encode())
        for (row,) in rows:
            _add(found, str(row).encode())
    return found.hexdigest()


def _add(found: hashlib._Hash, part: bytes) -> None:
    found.update(len(part).to_bytes(8, "big") + part)


def _files(folder: Path) -> Iterator[str | bytes]:
    for path in sorted([folder, *folder.rglob("*")]):
        yield str(path.relative_to(folder))
        if path.is_symlink():  # what it leads to is below the folder, or a part of this image
            yield f"-> {path.readlink()}"
        elif path.is_file():
            yield path.read_bytes()
