"""The registry: which images it has, and their removal, over the distribution API (OCI distribution spec 1.1, section 4.4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import Permanent, Transient
from slipway.unreachable import why

if TYPE_CHECKING:
    from requests import Response

_MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)


@dataclass(frozen=True)
class Registry:
    """A registry and the account to ask it with.

    :param address: ``host:port``, as image references begin.
    :param ca_file: certificate authority that signed its certificate; None for the system's own.
    """

    address: str
    username: str
    password: str = field(repr=False)
    ca_file: Path | None = None

    def digest(self, repository: str, tag: str) -> str | None:
        """Give the digest that ``repository:tag`` has, or None if there is none.

        :raises Permanent: if the account is refused.
        :raises Transient: if the registry does not answer, or with something else.
        """
        answer = self._ask("HEAD", f"{repository}/manifests/{tag}")
        return answer.headers["Docker-Content-Digest"] if answer is not None else None

    def tags(self, repository: str) -> list[str]:
        """Give the tags of a repository; of one that is not there, none."""
        answer = self._ask("GET", f"{repository}/tags/list")
        return sorted(answer.json().get("tags") or []) if answer is not None else []

    def labels(self, repository: str, digest: str) -> dict[str, str]:
        """Give the labels of an image; none if it is not there."""
        if (manifest := self._manifest(repository, digest)) is None or "config" not in manifest:
            return {}
        answer = self._ask("GET", f"{repository}/blobs/{manifest['config']['digest']}")
        found = (answer.json().get("config") or {}).get("Labels") if answer is not None else None
        return dict(found or {})

    def size(self, repository: str, digest: str) -> int:
        """Give the bytes of an image's layers and configuration, which other images may share; 0 if it is not there."""
        manifest = self._manifest(repository, digest) or {}
        blobs = [manifest.get("config") or {}, *(manifest.get("layers") or [])]
        return sum(int(blob.get("size", 0)) for blob in blobs)

    def delete(self, repository: str, digest: str) -> bool:
        """Remove an image with all its tags; False if it was not there. Its layers stay for the registry's own collection.

        :raises Permanent: if the registry does not allow it.
        """
        return self._ask("DELETE", f"{repository}/manifests/{digest}") is not None

    def _manifest(self, repository: str, digest: str) -> dict[str, Any] | None:
        answer = self._ask("GET", f"{repository}/manifests/{digest}")
        return dict(answer.json()) if answer is not None else None

    def _ask(self, method: str, path: str) -> Response | None:
        """Give the answer; None for what is not there."""
        import requests

        try:
            answer = requests.request(
                method,
                f"https://{self.address}/v2/{path}",
                auth=(self.username, self.password),
                headers={"Accept": _MANIFESTS},
                verify=str(self.ca_file) if self.ca_file else True,
                timeout=15,
            )
        except requests.RequestException as e:
            raise Transient(
                f"registry {self.address} does not answer: {why(e)}",
                remedy="see that it runs and its certificate is valid",
            ) from e
        if answer.status_code == 404:
            return None
        if answer.status_code in (401, 403):
            raise Permanent(
                f"registry {self.address} refuses the account {self.username} ({answer.status_code}) for {path}",
                remedy="correct secret/slipway/registry in Vault, or give that account the right to push",
            )
        if answer.status_code == 405 and method == "DELETE":
            raise Permanent(
                f"registry {self.address} does not delete images",
                remedy="allow it (`storage.delete.enabled`), or let the registry's own rules remove old images",
            )
        if answer.status_code not in (200, 202):
            raise Transient(
                f"registry {self.address} answered {answer.status_code} for {path}",
                remedy="see the registry's log, and the room on its disk",
            )
        return answer
