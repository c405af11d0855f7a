"""The registry: which digest a tag has, asked over the distribution API (OCI distribution spec 1.1, section 4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slipway.errors import Permanent, Transient

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
    password: str
    ca_file: Path | None = None

    def digest(self, repository: str, tag: str) -> str | None:
        """Give the digest that ``repository:tag`` has, or None if there is none.

        :raises Permanent: if the account is refused.
        :raises Transient: if the registry does not answer, or with something else.
        """
        import requests

        url = f"https://{self.address}/v2/{repository}/manifests/{tag}"
        try:
            answer = requests.head(
                url,
                auth=(self.username, self.password),
                headers={"Accept": _MANIFESTS},
                verify=str(self.ca_file) if self.ca_file else True,
                timeout=15,
            )
        except requests.RequestException as e:
            raise Transient(
                f"registry {self.address} does not answer: {e}",
                remedy="see that it runs and its certificate is valid",
            ) from e
        if answer.status_code == 404:
            return None
        if answer.status_code in (401, 403):
            raise Permanent(
                f"registry {self.address} refuses {self.username} ({answer.status_code}) for {repository}",
                remedy="correct secret/slipway/registry in Vault",
            )
        if answer.status_code != 200:
            raise Transient(f"registry {self.address} answered {answer.status_code} for {repository}:{tag}")
        return answer.headers["Docker-Content-Digest"]
