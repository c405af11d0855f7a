"""The package proxies: all that pushed code reaches where it has a network. Two containers on the engine."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from typing_extensions import override

from slipway_sandbox.layout import SandboxError, write_file
from slipway_sandbox.part import Part
from slipway_sandbox.parts.docker import Docker

if TYPE_CHECKING:
    from slipway.toolboxes.engine import Engine

IMAGE = "package-proxy"
FILES, RECORD = "package-files.json", "packages.json"
"""In the state folder: where the Python index had its files, for a start while it does not answer; the platform file's part."""


class Packages(Part):
    """PyPI, npm, Go modules, Maven and Debian, read-only and cached, from where this machine's own clients get them."""

    name = "packages"
    depends = ("docker", "images")
    ready_timeout_s = 30

    def _engine(self) -> AbstractContextManager[Engine]:
        from slipway_sandbox import images  # not for `down` of the rest, which needs none of it

        return images.pulling(self.sandbox)

    @override
    def prepare(self) -> None:
        from slipway.toolboxes import packages, upstreams
        from slipway.toolboxes.clients import PackageClients
        from slipway_sandbox import images

        with self._engine() as engine:
            clients = PackageClients.of_this_machine()
            found, silent = upstreams.known(clients, self.layout.recorded(FILES) or {})
            if silent:
                self.say(
                    f"the Python index does not answer now; its files are where they were last: {silent.message}"
                )
            if pypi := found.get(upstreams.Kind.PYPI):
                write_file(self.layout.state / FILES, json.dumps({pypi.url: pypi.files}) + "\n")
            image = images.recorded(self.sandbox)[IMAGE]
            images.pull(engine, image)
            started = packages.up(engine, image, upstreams.configuration(found, clients))
            write_file(self.layout.state / RECORD, json.dumps(packages.platform(found), indent=1) + "\n")
            if started:
                lacking = [kind for kind in upstreams.Kind if kind not in found]
                without = f"; no client here knows an index of {', '.join(lacking)}" if lacking else ""
                self.say(f"started, for {', '.join(found)}{without}")

    def recorded(self) -> dict[str, str] | None:
        """What the platform file says of it, once it has run."""
        found: dict[str, str] | None = self.layout.recorded(RECORD)
        return found

    @override
    def provision(self) -> None:
        """Fetch the advisories that come from here, once; then the nightly refresh does."""
        from slipway.errors import SlipwayError
        from slipway_sandbox import advisories

        try:
            for line in advisories.ensure(self.sandbox):
                self.say(line)
        except SlipwayError as error:
            raise SandboxError(str(error)) from error

    @override
    def ready(self) -> str | None:
        from slipway.toolboxes import packages

        try:
            with self._engine() as engine:
                answered = packages.status(engine)
        except SandboxError as error:
            return str(error).splitlines()[0]
        return None if answered == 200 else f"the proxies answer {answered}"

    @override
    def address(self) -> str:
        return "pypi, npm, go, maven, debian (.packages, on jobs' private networks)"

    @override
    def status(self) -> dict[str, object]:
        stopped = Docker(self.sandbox).ready() is not None or not self._containers()
        problem = None if stopped else self.ready()
        return {
            "state": "stopped" if stopped else "failing" if problem else "running",
            "address": self.address(),
            "problem": problem,
            "processes": {},
        }

    def _containers(self) -> list[str]:
        from slipway.toolboxes import packages

        with self._engine() as engine:
            return packages.containers(engine)

    @override
    def down(self) -> None:
        """Remove the containers; what they have cached stays on the engine."""
        from slipway.toolboxes import packages

        if Docker(self.sandbox).ready() is None:
            with self._engine() as engine:
                packages.down(engine)
