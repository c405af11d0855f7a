"""The registry: which images it has, giving, taking, removing them, over the distribution API (OCI distribution spec 1.1).

What a tag or digest names is an image, or an index of several: one for each platform, and what was attested of them
(OCI image spec 1.1, image index). "It is not there" and "it cannot be read" are told apart: None is the first alone.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from slipway import oci_layout
from slipway.errors import Permanent, Transient
from slipway.unreachable import why

if TYPE_CHECKING:
    from requests import Response

    from slipway.oci_layout import Blob, Layout

IMAGES = frozenset(
    {
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
INDEXES = frozenset(
    {
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    }
)
_ACCEPTED = ", ".join([*sorted(IMAGES), *sorted(INDEXES)])
_DEPTH = 3
"""Indexes within indexes that are followed; the spec allows them, and sets no bound."""
_CONFIG_LIMIT = 8_000_000
"""Bytes of an image's configuration that are read: a worker keeps them in memory."""


@dataclass(frozen=True)
class Image:
    """An image as the registry has it.

    :param digest: of its own manifest.
    :param name_digest: of what was asked for: the same, or an index that leads to it.
    :param platform: what it runs on, such as ``linux/amd64``.
    :param size: bytes of its layers and configuration, which other images may share.
    :param layers: digests of what is in its layers (`diff_ids`). :param user: whom it runs as; empty is root.
    """

    digest: str
    name_digest: str
    platform: str
    labels: Mapping[str, str]
    size: int
    layers: tuple[str, ...] = ()
    user: str = ""

    @property
    def is_single(self) -> bool:
        """Whether it was named itself, not by an index."""
        return self.digest == self.name_digest

    def runs_on(self, platform: str) -> bool:
        """Tell whether it is for ``platform``; a variant that only one of them names decides nothing."""
        mine, other = self.platform.split("/"), platform.split("/")
        return all(a == b for a, b in zip(mine, other, strict=False))


@dataclass(frozen=True)
class Layer:
    """A layer as a repository has it, packed with gzip.

    :param diff_id: digest of what is in it, unpacked. :param size: packed, in bytes. :param said: what made it, in words.
    """

    digest: str
    diff_id: str
    size: int
    said: str = ""


def fitting(manifests: Sequence[Mapping[str, Any]], platform: str) -> list[str]:
    """Give the digests of an index's manifests that may be the image of ``platform``, the likeliest first.

    A manifest that names no platform may be: its own configuration says. One that names another, or `unknown` as an
    attestation does, is not.
    """
    named: list[str] = []
    silent: list[str] = []
    for one in manifests:
        if (one.get("annotations") or {}).get("vnd.docker.reference.type") or not one.get("digest"):
            continue
        if not (on := one.get("platform")):
            silent.append(str(one["digest"]))
        elif platform in (_platform(on), _platform({**on, "variant": None})):
            named.append(str(one["digest"]))
    return named or silent


def _platform(on: Mapping[str, Any]) -> str:
    parts = [on.get("os") or "unknown", on.get("architecture") or "unknown", on.get("variant")]
    return "/".join(str(part) for part in parts if part)


@dataclass(frozen=True)
class Registry:
    """A registry and the account to ask it with.

    :param address: ``host:port``, as image references begin.
    :param ca_file: certificate authority that signed its certificate; None for the system's own.
    :param platform: whose manifest an index is followed to: ``os/architecture[/variant]``.
    """

    address: str
    username: str
    password: str = field(repr=False)
    ca_file: Path | None = None
    platform: str = "linux/amd64"

    def digest(self, repository: str, tag: str) -> str | None:
        """Give the digest that ``repository:tag`` has, or None if there is none.

        :raises Permanent: if the account is refused.
        :raises Transient: if the registry does not answer, or with something else.
        """
        if (answer := self._ask("HEAD", f"{repository}/manifests/{tag}")) is None:
            return None
        if digest := answer.headers.get("Docker-Content-Digest"):
            return digest
        # the header is no duty: then it is the content that says
        got = self._ask("GET", f"{repository}/manifests/{tag}")
        return _digest_of(got.content) if got is not None else None

    def tags(self, repository: str) -> list[str]:
        """Give the tags of a repository, of all pages of the answer; of one that is not there, none."""
        found: set[str] = set()
        path: str | None = f"{repository}/tags/list"
        while path and (answer := self._ask("GET", path)) is not None:
            page = set(_json(answer, self.address, path).get("tags") or [])
            path = answer.links.get("next", {}).get("url", "").rpartition("/v2/")[2] if page - found else None
            found |= page
        return sorted(found)

    def image(self, repository: str, reference: str) -> Image | None:
        """Give the image that a tag or digest names, through an index to the manifest of ``platform``; None if it is not there.

        :raises Permanent: if it is there, and cannot be read: of another kind, for other platforms, or in pieces.
        :raises Transient: if the registry does not answer, or with something else.
        """
        manifest = self._manifest(repository, reference)
        if manifest is None:
            return None
        name_digest, body = manifest
        return self._followed(repository, name_digest, name_digest, body, _DEPTH)

    def _followed(
        self, repository: str, name_digest: str, digest: str, body: dict[str, Any], depth: int
    ) -> Image:
        name = f"{repository}@{digest}"
        if body["mediaType"] in IMAGES:
            return self._image(repository, name_digest, digest, body)
        found = body.get("manifests") or []
        for one in fitting(found, self.platform) if depth else []:
            image = self._followed(repository, name_digest, one, self._part(repository, name, one), depth - 1)
            if image.runs_on(self.platform):
                return image
        has = ", ".join(sorted({_platform(one.get("platform") or {}) for one in found})) or "nothing"
        raise Permanent(
            f"registry {self.address}: {name} is an index without an image for {self.platform}: it has {has}",
            code="registry.no-image-for-platform",
            remedy="push an image of that platform, or correct `registry.image_platform` in the platform file",
        )

    def _image(self, repository: str, name_digest: str, digest: str, body: dict[str, Any]) -> Image:
        config, name = body.get("config") or {}, f"{repository}@{digest}"
        if not config.get("digest") or int(config.get("size", 0)) > _CONFIG_LIMIT:
            raise Permanent(
                f"registry {self.address}: {name} has no configuration of at most {_CONFIG_LIMIT} bytes: it is no image",
                code="registry.config-missing",
                remedy=_REMOVE,
            )
        answer = self._ask("GET", f"{repository}/blobs/{config['digest']}")
        if answer is None:
            raise _in_pieces(self.address, name, config["digest"])
        said = _json(answer, self.address, f"{repository}/blobs/{config['digest']}", config["digest"])
        blobs = [config, *(body.get("layers") or [])]
        return Image(
            digest,
            name_digest,
            _platform(said),
            dict((said.get("config") or {}).get("Labels") or {}),
            sum(int(blob.get("size", 0)) for blob in blobs),
            tuple(str(one) for one in (said.get("rootfs") or {}).get("diff_ids") or ()),
            str((said.get("config") or {}).get("User") or ""),
        )

    def _part(self, repository: str, name: str, digest: str) -> dict[str, Any]:
        if (found := self._manifest(repository, digest)) is None:
            raise _in_pieces(self.address, name, digest)
        return found[1]

    def layout(self, repository: str, digest: str) -> IO[bytes]:
        """Give an image as the tar of an OCI layout (OCI image spec 1.1, image layout), with all of its layers.

        :param digest: of the image's own manifest, no index.
        :raises Permanent: if it is not there, or a part of it is not.
        """
        name, path = f"{repository}@{digest}", f"{repository}/manifests/{digest}"
        answer = self._ask("GET", path)
        if answer is None:
            raise _in_pieces(self.address, name, digest)
        body = _json(answer, self.address, path, digest)
        tar = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the last of it
        with tarfile.open(fileobj=tar, mode="w") as files:
            for blob in [body["config"], *body["layers"]]:
                with self._blob(repository, name, blob["digest"]) as content:
                    _added(files, oci_layout.blob(blob["digest"]), content)
            _added(files, oci_layout.blob(digest), io.BytesIO(answer.content))
            kind = body.get("mediaType") or answer.headers.get("Content-Type", "")
            for file, text in oci_layout.frame(digest, kind, len(answer.content)).items():
                _added(files, file, io.BytesIO(text))
        tar.seek(0)
        return tar

    def _blob(self, repository: str, name: str, digest: str) -> IO[bytes]:
        answer = self._ask("GET", f"{repository}/blobs/{digest}", stream=True)
        if answer is None:
            raise _in_pieces(self.address, name, digest)
        content, seen = tempfile.TemporaryFile(), hashlib.sha256()  # noqa: SIM115 - the caller's
        with self._answering(f"{repository}/blobs/{digest}"):
            for chunk in answer.iter_content(1 << 20):
                seen.update(chunk)
                content.write(chunk)
        if f"sha256:{seen.hexdigest()}" != digest:
            raise _malformed(self.address, f"{repository}/blobs/{digest}")
        content.seek(0)
        return content

    def push(self, repository: str, tag: str, image: Layout) -> str:
        """Put an image under a tag: what the registry lacks of it, the manifest last; give its digest.

        :raises Permanent: if the account is refused. :raises Transient: if the registry does not do its part.
        """
        for blob in image.blobs:
            if self._ask("HEAD", f"{repository}/blobs/{blob.digest}") is None:
                self._upload(repository, blob)
        self._ask(
            "PUT",
            f"{repository}/manifests/{tag}",
            data=image.manifest,
            headers={"Content-Type": image.media_type},
        )
        return image.digest

    def _upload(self, repository: str, blob: Blob) -> None:
        begun = self._ask("POST", f"{repository}/blobs/uploads/")
        if begun is None or not (place := begun.headers.get("Location")):
            raise _malformed(self.address, f"{repository}/blobs/uploads/")
        # the registry says where, and may say a host: it is asked where it is known to be
        _, _, path = urlsplit(place)._replace(scheme="", netloc="").geturl().rpartition("/v2/")
        with blob.path.open("rb") as content:
            self._ask(
                "PUT",
                f"{path}{'&' if '?' in path else '?'}digest={blob.digest}",
                data=content,
                headers={"Content-Type": "application/octet-stream"},
            )

    def layer(self, repository: str, content: Path) -> str:
        """Put a layer (gzip) into a repository, unless it is there; give its digest."""
        with content.open("rb") as stream:
            digest = f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"
        if self._ask("HEAD", f"{repository}/blobs/{digest}") is None:
            self._upload(repository, oci_layout.Blob(digest, content))
        return digest

    def extend(
        self,
        repository: str,
        digest: str,
        layers: Sequence[Layer],
        *,
        tags: Sequence[str],
        labels: Mapping[str, str],
    ) -> str:
        """Put an image with more layers, which the repository has, and labels under tags; give its digest.

        :param digest: of the image below, in the same repository. The same of all of these is the same image.
        :raises Permanent: if that is not there.
        """
        name = f"{repository}@{digest}"
        body = self._part(repository, name, digest)
        answer = self._ask("GET", f"{repository}/blobs/{body['config']['digest']}")
        if answer is None:
            raise _in_pieces(self.address, name, body["config"]["digest"])
        config = _json(answer, self.address, name, body["config"]["digest"])
        said = {**(config.get("config") or {})}
        said["Labels"] = {**(said.get("Labels") or {}), **labels}
        config |= {
            "config": said,
            "rootfs": {
                "type": "layers",
                "diff_ids": [*config["rootfs"]["diff_ids"], *(one.diff_id for one in layers)],
            },
            "history": [*(config.get("history") or []), *({"created_by": one.said} for one in layers)],
        }
        is_oci = ".oci." in body["mediaType"]
        kind = (
            "application/vnd.oci.image.layer.v1.tar+gzip"
            if is_oci
            else "application/vnd.docker.image.rootfs.diff.tar.gzip"
        )
        with tempfile.TemporaryDirectory(prefix="slipway-config-") as folder:
            file = Path(folder) / "config"
            file.write_bytes(text := json.dumps(config, sort_keys=True).encode())
            body["config"] |= {"digest": self.layer(repository, file), "size": len(text)}
        body["layers"] = [
            *body["layers"],
            *({"mediaType": kind, "digest": one.digest, "size": one.size} for one in layers),
        ]
        manifest = json.dumps(body, sort_keys=True).encode()
        for tag in tags:
            self._ask(
                "PUT",
                f"{repository}/manifests/{tag}",
                data=manifest,
                headers={"Content-Type": body["mediaType"]},
            )
        return _digest_of(manifest)

    def delete(self, repository: str, digest: str) -> bool:
        """Remove an image with all its tags; False if it was not there. Its layers stay for the registry's own collection.

        :raises Permanent: if the registry does not allow it.
        """
        return self._ask("DELETE", f"{repository}/manifests/{digest}") is not None

    def _manifest(self, repository: str, reference: str) -> tuple[str, dict[str, Any]] | None:
        """Give the digest of what a tag or digest names, and the manifest itself with its media type."""
        path = f"{repository}/manifests/{reference}"
        if (answer := self._ask("GET", path)) is None:
            return None
        expected = reference if ":" in reference else answer.headers.get("Docker-Content-Digest")
        body = _json(answer, self.address, path, expected)
        kind = answer.headers.get("Content-Type", "").partition(";")[0].strip()
        # of one kind by its header and another by itself, it means different things to different readers (CVE-2021-41190)
        kinds = {kind, str(body.setdefault("mediaType", kind))}
        if len(kinds) > 1 or not kinds <= IMAGES | INDEXES:
            said, name = " or ".join(sorted(kinds)), f"{repository}, {reference}"
            raise Permanent(
                f"registry {self.address}: {name} is {said}: neither an image nor an index of images",
                code="registry.not-an-image",
                remedy=_REMOVE,
            )
        return _digest_of(answer.content), body

    @contextmanager
    def _answering(self, path: str) -> Iterator[None]:
        import requests

        try:
            yield
        except (requests.RequestException, OSError) as e:
            raise Transient(
                f"registry {self.address} does not answer: {why(e)}",
                code="registry.unreachable",
                remedy="see that it runs and its certificate is valid",
            ) from e

    def _ask(
        self,
        method: str,
        path: str,
        *,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> Response | None:
        """Give the answer; None for what is not there."""
        import requests

        with self._answering(path):
            answer = requests.request(
                method,
                f"https://{self.address}/v2/{path}",
                auth=(self.username, self.password),
                headers={"Accept": _ACCEPTED, **(headers or {})},
                verify=str(self.ca_file) if self.ca_file else True,
                timeout=(15, 120) if data is not None or stream else 15,
                data=data,
                stream=stream,
            )
        if answer.status_code == 404 and "html" not in answer.headers.get("Content-Type", ""):
            return None
        if answer.status_code in (401, 403):
            raise Permanent(
                f"registry {self.address} refuses the account {self.username} ({answer.status_code}) for {path}",
                code="registry.account-refused",
                remedy="correct secret/slipway/registry in Vault, or give that account the right to push",
            )
        if answer.status_code == 405 and method == "DELETE":
            raise Permanent(
                f"registry {self.address} does not delete images",
                code="registry.deletes-nothing",
                remedy="allow it (`storage.delete.enabled`), or let the registry's own rules remove old images",
            )
        if answer.status_code not in (200, 201, 202):
            raise Transient(
                f"registry {self.address} answered {answer.status_code} for {path}",
                code="registry.failed",
                remedy="see the registry's log, the room on its disk, and whether a proxy answers in its place",
            )
        return answer


_REMOVE = "see who pushed it; remove it from the registry, or release a newer commit"


def _in_pieces(address: str, name: str, part: str) -> Permanent:
    return Permanent(
        f"registry {address}: {name} is there, but {part}, which it names, is not",
        code="registry.image-incomplete",
        remedy=_REMOVE,
    )


def _digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(answer: Response, address: str, path: str, digest: str | None = None) -> dict[str, Any]:
    """Give an answer's object; with ``digest``, only if it is the content of that digest."""
    said: Any = None
    if digest is None or _digest_of(answer.content) == digest:
        try:
            said = json.loads(answer.content)
        except ValueError:
            said = None
    if not isinstance(said, dict):
        raise _malformed(address, path)
    return said


def _malformed(address: str, path: str) -> Transient:
    return Transient(
        f"registry {address} answered something else than was asked for at {path}",
        code="registry.answer-malformed",
        remedy="see whether a proxy answers in its place, and that its storage is whole",
    )


def _added(files: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = content.seek(0, io.SEEK_END), 0o644
    content.seek(0)
    files.addfile(entry, content)
