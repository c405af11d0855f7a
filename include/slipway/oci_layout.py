"""An image as a folder (OCI image spec 1.1, image layout): what a builder gives, and a registry takes and gives.

A folder that comes out of a builder is judged: each part is what its digest says, and there is one image in it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from slipway.errors import Permanent

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MANIFEST_LIMIT = 4_000_000


@dataclass(frozen=True)
class Blob:
    """A layer, or the configuration: its digest, and where it lies."""

    digest: str
    path: Path


@dataclass(frozen=True)
class Layout:
    """An image.

    :param manifest: as it is, byte for byte: its digest is the image's.
    """

    digest: str
    media_type: str
    manifest: bytes
    blobs: tuple[Blob, ...]


def blob(digest: str) -> str:
    """Give where a layout has a part."""
    algorithm, _, name = digest.partition(":")
    return f"blobs/{algorithm}/{name}"


def frame(digest: str, media_type: str, size: int) -> Mapping[str, bytes]:
    """Give the files that make a folder of parts a layout of one image."""
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{"mediaType": media_type.partition(";")[0], "digest": digest, "size": size}],
    }
    return {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode()}


def unpack(tar: IO[bytes], folder: Path, digest: str) -> Layout:
    """Unpack the parts of a layout's tar into an empty folder, and give the image of a digest.

    :raises Permanent: if a part is missing, or is not what its digest says.
    """
    with tarfile.open(fileobj=tar, mode="r|") as entries:
        for entry in entries:
            name = PurePosixPath(entry.name)
            if not entry.isreg() or name.parts[-3:-1] != ("blobs", "sha256") or len(name.name) != 64:
                continue
            content = entries.extractfile(entry)
            if content is not None:
                with (folder / name.name).open("wb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
    part = _found(folder, digest)
    if part.path.stat().st_size > _MANIFEST_LIMIT:
        raise _broken(digest)
    manifest = part.path.read_bytes()
    try:
        said: Any = json.loads(manifest)
        names = [one["digest"] for one in (said["config"], *said["layers"])]
        media_type = str(said["mediaType"])
    except (ValueError, KeyError, TypeError) as e:
        raise _broken(digest) from e
    return Layout(digest, media_type, manifest, tuple(_found(folder, one) for one in dict.fromkeys(names)))


def _found(folder: Path, digest: Any) -> Blob:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise _broken(str(digest))
    path = folder / digest.partition(":")[2]
    if not path.is_file():
        raise _broken(digest)
    with path.open("rb") as content:
        if f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}" != digest:
            raise _broken(digest)
    return Blob(digest, path)


def _broken(digest: str) -> Permanent:
    return Permanent(
        f"what was built is no whole image: {digest[:80]} is not in it, or is something else",
        code="image.layout-broken",
        remedy="clear image.build; if it happens again, see the engine's disk",
    )
