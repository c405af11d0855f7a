"""Built images, made by hand: OCI layouts of a few files."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence


def diff_id(layer: Mapping[str, bytes | int]) -> str:
    """Give the digest of what is in a layer."""
    return _digest(_layer(layer))


def layout(
    *layers: Mapping[str, bytes | int], user: str = "10001", env: Sequence[str] = ()
) -> dict[str, bytes]:
    """Give the files of an image. A layer has content by path, or the mode of an empty file."""
    made = [_layer(one) for one in layers]
    config = {
        "os": "linux",
        "config": {"User": user, "Env": list(env)},
        "rootfs": {"type": "layers", "diff_ids": [_digest(one) for one in made]},
        "history": [{"created_by": "RUN something"}],
    }
    blobs = [json.dumps(config).encode(), *made]
    manifest = {
        "config": {"digest": _digest(blobs[0])},
        "layers": [{"digest": _digest(one)} for one in made],
    }
    blobs.append(json.dumps(manifest).encode())
    found = {f"image/blobs/sha256/{_digest(one).partition(':')[2]}": one for one in blobs}
    return found | {"image/index.json": json.dumps({"manifests": [{"digest": _digest(blobs[-1])}]}).encode()}


def _layer(files: Mapping[str, bytes | int]) -> bytes:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as packed:
        for name, said in files.items():
            entry = tarfile.TarInfo(name)
            content = b"" if isinstance(said, int) else said
            entry.size, entry.mode = len(content), said if isinstance(said, int) else 0o644
            packed.addfile(entry, io.BytesIO(content))
    return tar.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
