"""What is in a built image, layer by layer (OCI image spec 1.1): what a later layer removes is still in the earlier one."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import HeaderParser
from pathlib import Path
from typing import Any, BinaryIO

import gate
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

FILE_LIMIT, FILES_LIMIT = 4_000_000, 400_000
"""Bytes of one list of packages that are read, and files of an image that are looked at: more is no verdict."""
WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
_METADATA = re.compile(r"(?:^|/)(?:site|dist)-packages/[^/]+\.(?:dist-info/METADATA|egg-info(?:/PKG-INFO)?)$")
_OF_DEBIAN = re.compile(r"^var/lib/dpkg/info/[^/]+\.list$")
_SUMS = re.compile(r"^var/lib/dpkg/info/[^/]+\.md5sums$")
_RECORD = re.compile(r"(?:^|/)(?:site|dist)-packages/[^/]+\.dist-info/RECORD$")
_DPKG = re.compile(r"^var/lib/dpkg/(?:status$|status\.d/[^/]+$)")
_RELEASE = re.compile(r"^(?:etc|usr/lib)/os-release$")
_NODE = re.compile(r"(?:^|/)node_modules/(?:@[^/]+/)?[^/]+/package\.json$")
_MODES = {0o4000: "setuid", 0o2000: "setgid"}


@dataclass
class Image:
    """What there is to say of an image.

    `texts` are lists of packages as they are in the end, by path; `below` those of the platform's bases, as they were there;
    `raised` the files of own layers that run as their owner.
    """

    user: str
    environment: list[str]
    history: list[str]
    texts: dict[str, bytes] = field(default_factory=dict)
    below: dict[str, bytes] = field(default_factory=dict)
    raised: list[tuple[str, str]] = field(default_factory=list)
    layers: int = 0

    def python(self) -> Iterator[tuple[str, str, str]]:
        """Gives Python's packages but for Debian's: name and version, as a lock has them, and where they say so."""
        debians = {
            line.strip(b"/").decode("utf-8", "replace")
            for path, text in self.texts.items()
            if _OF_DEBIAN.match(path)
            for line in text.splitlines()
        }
        for path, text in sorted(self.texts.items()):
            if not _METADATA.search(path) or path in debians:  # Debian mends without another version
                continue
            said = HeaderParser().parsestr(text.decode("utf-8", "replace"), headersonly=True)
            name, version = said.get("Name"), said.get("Version")
            if name and version:
                try:
                    yield canonicalize_name(name), str(Version(version)), path
                except InvalidVersion:
                    raise gate.CannotEvaluate(
                        f"{path}: version {version[:80]!r} of {name[:80]} is none of PEP 440"
                    ) from None

    def debian(self) -> list[Debian]:
        """Gives the installed packages of Debian, sorted."""
        below = {(one["Package"], one["Version"]) for one in _installed(self.below)}
        found = {}
        for one in _installed(self.texts):
            source, _, version = one.get("Source", one["Package"]).partition(" ")
            key = one["Package"], one["Version"]
            found[key] = Debian(*key, source, version.strip("()") or one["Version"], key in below)
        return sorted(found.values(), key=lambda one: (one.name, one.version))

    def release(self) -> str:
        """Gives the number of its release of Debian; empty if it is none, or does not say."""
        for path in sorted(one for one in self.texts if _RELEASE.match(one)):
            said = dict(
                line.partition("=")[::2] for line in self.texts[path].decode("utf-8", "replace").splitlines()
            )
            if said.get("ID", "").strip('"') == "debian":
                return said.get("VERSION_ID", "").strip('"')
        return ""

    def node(self) -> Iterator[tuple[str, str, str]]:
        """Gives npm's packages: name and version, and where they say so. One that says neither is no package of npm's."""
        for path, text in sorted(self.texts.items()):
            if not _NODE.search(path):
                continue
            try:
                said = json.loads(text)
            except ValueError:
                continue
            name, version = (
                (said.get(key) for key in ("name", "version")) if isinstance(said, dict) else (0, 0)
            )
            if isinstance(name, str) and isinstance(version, str):
                yield name, version, path


@dataclass(frozen=True)
class Debian:
    """A package of Debian, with the source package that it was made of. `below`: a base of the platform brings it so."""

    name: str
    version: str
    source: str
    source_version: str
    below: bool


def _installed(texts: Mapping[str, bytes]) -> Iterator[dict[str, str]]:
    for path, text in texts.items():
        if not _DPKG.match(path):
            continue
        for part in text.decode("utf-8", "replace").split("\n\n"):
            fields = (line.partition(":") for line in part.split("\n") if not line.startswith(" "))
            said = {key: value.strip() for key, mark, value in fields if mark}
            # in an image without a package manager (`status.d`) they have no status
            is_there = said.get("Status", "ok installed").endswith(" installed")
            if is_there and said.get("Package") and said.get("Version"):
                yield said


def read(folder: Path, bases: frozenset[str], see: Callable[[str, BinaryIO], None]) -> Image:
    """Reads an image out of an OCI layout. `bases`: layers of the platform's own images, by the digest of what is in them.

    `see` is shown each file of the others, by path and layer, but for what packages bring.
    """
    [entry] = _json(folder / "index.json")["manifests"]
    manifest = _json(_part(folder, entry["digest"]))
    config = _json(_part(folder, manifest["config"]["digest"]))
    said = config.get("config") or {}
    history = [str(one.get("created_by", "")) for one in config.get("history") or []]
    image = Image(str(said.get("User") or ""), [str(one) for one in said.get("Env") or []], history)
    names = config["rootfs"]["diff_ids"]
    if len(names) != len(manifest["layers"]):
        raise gate.CannotEvaluate(f"the image has {len(manifest['layers'])} layers, and names {len(names)}")
    layers = [
        (_part(folder, one["digest"]), name not in bases)
        for one, name in zip(manifest["layers"], names, strict=True)
    ]
    image.layers = sum(own for _, own in layers)
    count, packaged = 0, set[bytes]()
    for path, own in layers:
        for file, content in _files(path, lambda file: _listed(file.name)):
            count += 1
            if count > FILES_LIMIT:
                raise gate.CannotEvaluate(f"the image has more than {FILES_LIMIT} files")
            _take(image, file, content, own, packaged)
        if not own:
            image.below = dict(image.texts)
    for number, (path, own) in enumerate(layers, 1):
        for file, content in _files(path, lambda _: True) if own else ():
            if content is not None and not _is_packaged(content, packaged):
                see(f"{_name(file)} (layer {number})", io.BytesIO(content))
    return image


def _files(
    layer: Path, wanted: Callable[[tarfile.TarInfo], object]
) -> Iterator[tuple[tarfile.TarInfo, bytes | None]]:
    """Gives the entries of a layer, with the content of files that are wanted."""
    with tarfile.open(layer, mode="r|*") as files:
        for one in files:
            content = files.extractfile(one) if one.isreg() and wanted(one) else None
            yield one, content.read() if content else None


def _name(file: tarfile.TarInfo) -> str:
    return file.name.removeprefix("./").strip("/")


def _listed(name: str) -> bool:
    kinds = (_METADATA, _DPKG, _OF_DEBIAN, _NODE, _SUMS, _RECORD, _RELEASE)
    return any(kind.search(name.removeprefix("./").strip("/")) for kind in kinds)


def _is_packaged(content: bytes, packaged: set[bytes]) -> bool:
    """Whether a file is, byte for byte, one that a package of Debian or PyPI brings."""
    sha256 = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
    return sha256 in packaged or hashlib.md5(content, usedforsecurity=False).hexdigest().encode() in packaged


def _take(
    image: Image, file: tarfile.TarInfo, content: bytes | None, own: bool, packaged: set[bytes]
) -> None:
    path = _name(file)
    parent, _, name = path.rpartition("/")
    if name.startswith(WHITEOUT):
        gone = parent if name == OPAQUE else f"{parent}/{name.removeprefix(WHITEOUT)}".strip("/")
        for known in [one for one in image.texts if one == gone or one.startswith(f"{gone}/")]:
            del image.texts[known]
        return
    if file.isreg() and own and (modes := [word for bit, word in _MODES.items() if file.mode & bit]):
        image.raised.append((path, " and ".join(modes)))
    if content is None:
        return
    if _SUMS.search(path):
        packaged |= {line.partition(b" ")[0] for line in content.splitlines()}
    elif _RECORD.search(path):
        packaged |= {line.rpartition(b",sha256=")[2].partition(b",")[0] for line in content.splitlines()}
    elif len(content) > FILE_LIMIT and not _NODE.search(path):
        raise gate.CannotEvaluate(f"{path} is longer than {FILE_LIMIT} bytes")
    else:
        image.texts[path] = content


def _part(folder: Path, digest: str) -> Path:
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest):
        raise gate.CannotEvaluate(f"{digest[:80]} is no digest")
    return folder / "blobs/sha256" / digest.partition(":")[2]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise gate.CannotEvaluate(f"the image cannot be read: {path.name}: {error}") from error
