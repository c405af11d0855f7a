"""Where built images are kept: the registry, and copies in the cache that refill an emptied registry."""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urljoin, urlsplit

from slipway_sandbox.engine import ImageError

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
KEPT_S = 14 * 86_400


@dataclass(frozen=True)
class Registry:
    """The registry's images below `slipway/`, asked over HTTPS and past every proxy."""

    address: str
    authorization: str
    tls: ssl.SSLContext

    @classmethod
    def of(cls, address: str, ca_file: str | Path, username: str, password_file: str | Path) -> Registry:
        """The registry at `host:port`, by the account whose password is in a file."""
        login = f"{username}:{Path(password_file).read_text(encoding='utf-8').strip()}"
        tls = ssl.create_default_context(cafile=str(ca_file))
        return cls(address, base64.b64encode(login.encode()).decode(), tls)

    def ask(
        self, method: str, path: str, body: bytes | BinaryIO | None = None, **headers: str
    ) -> HTTPResponse | None:
        """The answer to one request, for the caller to close; None where the registry answers 404.

        :param path: below `/v2/slipway/`, or an address that the registry gave (only its path and query count)
        """
        url = urljoin(
            f"https://{self.address}/v2/slipway/", urlsplit(path)._replace(scheme="", netloc="").geturl()
        )
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        headers["Authorization"] = f"Basic {self.authorization}"
        request = urllib.request.Request(url, method=method, data=body, headers=headers)  # noqa: S310 -- https
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.tls)
        )
        try:
            return cast("HTTPResponse", opener.open(request, timeout=120))
        except urllib.error.HTTPError as refused:
            if refused.code == 404:
                return None
            why = "are user and password right?" if refused.code in (401, 403) else "see its log"
            raise ImageError(
                f"registry {self.address} answered {refused.code} to {method} {url}: {why}"
            ) from refused
        except (urllib.error.URLError, OSError) as failure:
            raise ImageError(
                f"registry {self.address} cannot be asked ({failure}): is it up? `slipway sandbox status`"
            ) from failure

    def digest(self, name: str, tag: str) -> str | None:
        """The digest of slipway/NAME:TAG, or None where the registry does not have it."""
        answer = self.ask("HEAD", f"{name}/manifests/{tag}", Accept=", ".join(MANIFESTS))
        if not answer:
            return None
        with answer:
            return str(answer.headers["Docker-Content-Digest"])


@dataclass(frozen=True)
class Kept:
    """Pushed images as the registry holds them, kept in the cache: an emptied registry gets the same digests back."""

    folder: Path
    registry: Registry

    def keep(self, name: str, tag: str) -> None:
        """Copies an image's manifest and blobs out of the registry, once; the manifest is written last."""
        kept = self._manifest(name, tag)
        if kept.is_file() and _is_whole(kept.read_bytes()):
            return
        answer = self.registry.ask("GET", f"{name}/manifests/{tag}", Accept=", ".join(MANIFESTS))
        if not answer:
            return
        with answer:
            raw = answer.read()
        self.folder.mkdir(parents=True, exist_ok=True)
        for digest in _blobs(raw):
            if not self._blob(digest).is_file() and (
                found := self.registry.ask("GET", f"{name}/blobs/{digest}")
            ):
                with found, tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as unfinished:
                    shutil.copyfileobj(found, unfinished, 1 << 20)
                Path(unfinished.name).rename(self._blob(digest))
        half = self.folder / f"{name}.unfinished"
        half.write_bytes(raw)
        half.rename(kept)

    def restore(self, name: str, tag: str) -> str | None:
        """Puts a kept image back into the registry and gives its digest; None where it is not kept whole.

        The registry compares each blob with its digest, so a broken one is refused: then it is forgotten here.
        """
        manifest = self._manifest(name, tag)
        raw = manifest.read_bytes() if manifest.is_file() else b""
        if not _is_whole(raw) or not all(self._blob(digest).is_file() for digest in _blobs(raw)):
            manifest.unlink(missing_ok=True)
            return None
        try:
            for digest in _blobs(raw):
                self._upload(name, digest)
            kind = {"Content_Type": json.loads(raw)["mediaType"]}
            if answer := self.registry.ask("PUT", f"{name}/manifests/{tag}", raw, **kind):
                answer.close()
        except ImageError:
            manifest.unlink()
            for digest in _blobs(raw):
                self._blob(digest).unlink(missing_ok=True)
            return None
        manifest.touch()
        return self.registry.digest(name, tag)

    def _upload(self, name: str, digest: str) -> None:
        if there := self.registry.ask("HEAD", f"{name}/blobs/{digest}"):
            there.close()
            return
        if not (begun := self.registry.ask("POST", f"{name}/blobs/uploads/", b"")):
            raise ImageError(f"registry {self.registry.address} takes no uploads: see its log")
        with begun:
            place = begun.headers["Location"]
        file = self._blob(digest)
        size, octets = str(file.stat().st_size), "application/octet-stream"
        with file.open("rb") as blob:
            target = f"{place}{'&' if '?' in place else '?'}digest={digest}"
            if done := self.registry.ask("PUT", target, blob, Content_Type=octets, Content_Length=size):
                done.close()

    def prune(self, current: Mapping[str, str]) -> None:
        """Forgets images that have not been put back for two weeks, and blobs that belong to none."""
        if not self.folder.is_dir():
            return
        used = set()
        for manifest in self.folder.glob("*.json"):
            wanted = manifest in {self._manifest(name, tag) for name, tag in current.items()}
            if not _is_whole(manifest.read_bytes()) or (
                not wanted and time.time() - manifest.stat().st_mtime > KEPT_S
            ):
                manifest.unlink()
            else:
                used |= {self._blob(digest) for digest in _blobs(manifest.read_bytes())}
        for blob in self.folder.iterdir():
            if blob.suffix != ".json" and blob not in used:
                blob.unlink()

    def _manifest(self, name: str, tag: str) -> Path:
        return self.folder / f"{name}-{tag}.json"

    def _blob(self, digest: str) -> Path:
        return self.folder / digest.removeprefix("sha256:")


def _is_whole(manifest: bytes) -> bool:
    """Whether it can be read: a writer that was ended may have left half of one."""
    try:
        return bool(_blobs(manifest))
    except (ValueError, KeyError, TypeError):
        return False


def _blobs(manifest: bytes) -> list[str]:
    content = json.loads(manifest)
    return [part["digest"] for part in (content["config"], *content["layers"])]
