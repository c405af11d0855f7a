"""The base and toolbox images, built on the engine and pushed to the registry."""

from __future__ import annotations

import json
import re

from typing_extensions import override

from slipway_sandbox.layout import write_file
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part

MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
)


class Images(Part):
    """images.json: each image's name and its reference by digest."""

    name = "images"
    depends = ("docker", "registry")
    debian = ("/usr/bin/mmdebstrap",)

    @override
    def provision(self) -> None:
        from slipway_sandbox import images  # not for `down`, which needs none of it

        user, password_file = self.sandbox.registry_account("push")
        references = images.ensure(
            docker_host=self.sandbox.docker_host,
            registry=self.sandbox.registry,
            ca_file=self.sandbox.registry_ca,
            username=user,
            password_file=password_file,
            cache=self.layout.cache / "images",
            log=self.say,
        )
        write_file(self.layout.state / "images.json", json.dumps(references, indent=1, sort_keys=True) + "\n")

    @override
    def ready(self) -> str | None:
        return None

    @override
    def address(self) -> str:
        return f"{self.sandbox.registry}/slipway/*"

    @override
    def status(self) -> dict[str, object]:
        references = self.layout.recorded("images.json") or {}
        missing = self._missing(references)
        state = "failing" if missing else "running" if references else "stopped"
        return {"state": state, "address": self.address(), "problem": missing, "processes": {}}

    def _missing(self, references: dict[str, str]) -> str | None:
        """The first image that the registry does not have, or None."""
        import requests

        user, password = self.sandbox.registry_account("pull")
        for name, reference in references.items():
            found = re.fullmatch(r"([^/]+)/(.+)@(sha256:[0-9a-f]{64})", reference)
            if not found:
                return f"{name}: {reference} is no reference by digest"
            host, repository, digest = found.groups()
            try:
                answer = session(str(self.sandbox.registry_ca)).head(
                    f"https://{host}/v2/{repository}/manifests/{digest}",
                    auth=(user, self.sandbox.password(password)),
                    headers={"Accept": ", ".join(MANIFESTS)},
                    timeout=5,
                )
            except (requests.exceptions.RequestException, OSError) as error:
                return f"the registry does not answer ({type(error).__name__})"
            if answer.status_code != 200:
                return f"the registry answers {answer.status_code} for {reference}"
        return None

    @override
    def down(self) -> None:
        """Images stay in the registry and in the cache."""
