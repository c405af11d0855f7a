"""Exports of advisories: a zip of OSV's records, by URL or by path, as osv.dev has one for each ecosystem."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from slipway.errors import Permanent, Transient
from slipway.unreachable import why

LIMIT = 2_000_000_000
"""Bytes of an export, packed, and of all its records together."""
RECORD_LIMIT = 16_000_000
TIMEOUT_S = 60
_CHUNK = 1 << 20


@contextmanager
def opened(source: str) -> Iterator[IO[bytes]]:
    """Give an export's file.

    :param source: URL (http, https), or path on this machine.
    :raises Transient: if it is not to be had now. :raises Permanent: if it is too large.
    """
    with tempfile.TemporaryFile() as file:
        if "://" in source:
            _download(source, file)
        else:
            try:
                with open(source, "rb") as there:  # noqa: PTH123 - a name, which may be any path
                    while chunk := there.read(_CHUNK):
                        file.write(chunk)
            except OSError as e:
                raise Transient(
                    f"advisories: {source} cannot be read: {e.strerror}",
                    code="advisories.file-unreadable",
                    remedy="put the export there, or correct `advisories.sources` in the platform file",
                ) from e
        file.seek(0)
        yield file


def _download(url: str, file: IO[bytes]) -> None:
    import requests

    try:
        with requests.get(url, stream=True, timeout=TIMEOUT_S) as answer:
            if answer.status_code != 200:
                raise Transient(
                    f"advisories: {url} answered {answer.status_code}",
                    code="advisories.source-refused",
                    remedy="correct `advisories.sources` in the platform file, or see what that server says",
                )
            for chunk in answer.iter_content(_CHUNK):
                file.write(chunk)
                if file.tell() > LIMIT:
                    raise _too_large(url)
    except (requests.RequestException, OSError) as e:
        raise Transient(
            f"advisories: {url} does not answer: {why(e)}",
            code="advisories.source-unreachable",
            remedy="see that workers reach it; what was fetched before is used for as long as `advisories.max_age_days` says",
        ) from e


def records(file: IO[bytes], source: str, below: str = "") -> Iterator[Any]:
    """Give the records of an export, one file each.

    :param source: where it is from, for words. :param below: only of files whose path has this in it.
    :raises Permanent: if it is no zip of JSON, or too large.
    """
    total = 0
    try:
        with zipfile.ZipFile(file) as archive:
            for one in archive.infolist():
                if not one.filename.endswith(".json") or below not in one.filename:
                    continue
                total += one.file_size
                if one.file_size > RECORD_LIMIT or total > LIMIT:
                    raise _too_large(source)
                yield json.loads(archive.read(one))
    except (zipfile.BadZipFile, ValueError, NotImplementedError, RuntimeError) as e:
        raise Permanent(
            f"advisories: {source} is no zip of OSV's records: {e}",
            code="advisories.export-malformed",
            remedy="name an export of OSV's form, such as osv.dev has for each ecosystem (`…/npm/all.zip`)",
        ) from e


def _too_large(source: str) -> Permanent:
    return Permanent(
        f"advisories: {source} is larger than {LIMIT:,} bytes",
        code="advisories.export-too-large",
        remedy="name an export of one ecosystem",
    )
