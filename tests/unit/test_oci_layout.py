"""An image as a folder: only what is whole, and what it says it is, goes on."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from slipway import oci_layout
from slipway.errors import Permanent


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


CONFIG, LAYER = b"{}", b"a layer"
MANIFEST = json.dumps(
    {"mediaType": "m", "config": {"digest": digest_of(CONFIG)}, "layers": [{"digest": digest_of(LAYER)}]}
).encode()


def tar_of(**parts: bytes) -> io.BytesIO:
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as files:
        for name, content in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            files.addfile(entry, io.BytesIO(content))
    tar.seek(0)
    return tar


def parts(*contents: bytes) -> dict[str, bytes]:
    return {f"image/{oci_layout.blob(digest_of(one))}": one for one in contents}


def test_image_is_given_with_all_of_its_parts(tmp_path: Path) -> None:
    digest = digest_of(MANIFEST)
    frame = {f"image/{name}": text for name, text in oci_layout.frame(digest, "m; x", len(MANIFEST)).items()}
    found = oci_layout.unpack(tar_of(**frame, **parts(CONFIG, LAYER, MANIFEST)), tmp_path, digest)
    assert (found.digest, found.media_type, found.manifest) == (digest, "m", MANIFEST)
    assert [one.path.read_bytes() for one in found.blobs] == [CONFIG, LAYER]
    assert json.loads(frame["image/index.json"])["manifests"][0] == {
        "mediaType": "m",
        "digest": digest,
        "size": len(MANIFEST),
    }


@pytest.mark.parametrize(
    "there",
    [
        {},
        parts(CONFIG, MANIFEST),
        {**parts(CONFIG, MANIFEST), f"image/{oci_layout.blob(digest_of(LAYER))}": b"another"},
        {**parts(CONFIG, LAYER), f"image/{oci_layout.blob(digest_of(MANIFEST))}": MANIFEST + b" "},
        {f"../{oci_layout.blob(digest_of(MANIFEST))}": MANIFEST},
    ],
    ids=["nothing", "no layer", "another layer", "another manifest", "above, and nothing else"],
)
def test_what_is_not_whole_is_refused(tmp_path: Path, there: dict[str, bytes]) -> None:
    with pytest.raises(Permanent, match="no whole image"):
        oci_layout.unpack(tar_of(**there), tmp_path, digest_of(MANIFEST))


@pytest.mark.parametrize(
    "said", [b"[]", b"{}", b"no JSON", b'{"mediaType": "m", "config": {"digest": 1}, "layers": []}']
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, said: bytes) -> None:
    with pytest.raises(Permanent, match="no whole image"):
        oci_layout.unpack(tar_of(**parts(said)), tmp_path, digest_of(said))
