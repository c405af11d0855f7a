"""Where the parts are that releases run on: the file that SLIPWAY_PLATFORM names, without secrets."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from slipway.catalog.reading import read
from slipway.catalog.service import Entry
from slipway.catalog.words import BaseName, HttpUrl, ImageDigest, Name, Port, Variable, Word
from slipway.errors import CatalogError

Host = Annotated[
    str, Word(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", "must be a host name or an IPv4 address", 253)
]
Address = Annotated[
    str, Word(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?", "must be <host>[:<port>]", 260)
]
ImagePlatform = Annotated[
    str,
    Word(r"[a-z0-9]+/[a-z0-9]+(?:/[a-z0-9]+)?", "must be <os>/<architecture>, such as linux/amd64", 40),
]
ContainerName = Annotated[
    str, Word(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", "must be the name of a Docker container", 128)
]
AdvisorySource = Annotated[
    str,
    Word(
        r"packages|https?://[^\s/]+/\S*|/\S+",
        "must be `packages`, a URL (http, https), or an absolute path",
        1000,
    ),
]
Volume = Annotated[str, Word(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*", "must be the name of a Docker volume", 128)]


class Git(Entry):
    """The git server."""

    url: HttpUrl


class Registry(Entry):
    """The image registry. `ca_file` is a path on the worker, or None for the system's authorities.

    `image_platform` is what the images run on: the cluster's nodes, and so the engine that builds them.
    """

    address: Address
    ca_file: str | None = None
    image_platform: ImagePlatform = "linux/amd64"


class PackageIndex(Entry):
    """How the one step with a network reaches the package index."""

    ca_volume: Volume | None = None
    environment: dict[Variable, str] = Field(default_factory=dict)


class Packages(Entry):
    """The package proxies: all that pushed code reaches where it has a network.

    `container` is the engine's container that is joined to each job's private network; the others are the addresses at
    which it has packages there, as clients are told them. What is not named is not to be had.
    """

    container: ContainerName
    pypi: HttpUrl | None = None
    npm: HttpUrl | None = None
    go: HttpUrl | None = None
    maven: HttpUrl | None = None
    debian: HttpUrl | None = None
    debian_security: HttpUrl | None = None

    @property
    def addresses(self) -> dict[str, str]:
        """Give the addresses that are named, by whose packages are there."""
        kinds = ("pypi", "npm", "go", "maven", "debian", "debian_security")
        return {kind: address for kind in kinds if (address := getattr(self, kind))}

    @property
    def hosts(self) -> tuple[str, ...]:
        """Give the host names by which jobs ask for them, sorted."""
        return tuple(sorted({_host(address) for address in self.addresses.values()}))

    def environment(self) -> dict[str, str]:
        """Give what tells pip, uv, npm, go and Maven's wrapper where to ask; Maven itself and apt are told by files."""
        found: dict[str, str] = {}
        if self.pypi:
            found |= {
                "PIP_INDEX_URL": self.pypi,
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "UV_DEFAULT_INDEX": self.pypi,
            }
            if self.pypi.startswith("http:"):
                found["PIP_TRUSTED_HOST"] = _host(self.pypi)
        if self.npm:
            quiet = ("AUDIT", "FUND", "UPDATE_NOTIFIER")  # what they ask is not to be had
            found |= {"NPM_CONFIG_REGISTRY": self.npm, **{f"NPM_CONFIG_{one}": "false" for one in quiet}}
        if self.go:
            found["GOPROXY"] = self.go  # its checksum database is asked through it, too
        if self.maven:
            found["MVNW_REPOURL"] = self.maven
        return found

    def maven_settings(self) -> str:
        """Give a settings.xml by which Maven asks here, whatever repositories a project names; empty if there is none."""
        if not self.maven:
            return ""
        return (
            "<settings><mirrors><mirror><id>packages</id><mirrorOf>*</mirrorOf>"
            f"<url>{escape(self.maven)}</url></mirror></mirrors></settings>\n"
        )

    def debian_sources(self, suite: str) -> str:
        """Give apt's sources (deb822) of a suite such as `bookworm`; empty if there are none."""
        found = [(self.debian, f"{suite} {suite}-updates"), (self.debian_security, f"{suite}-security")]
        return "\n".join(
            f"Types: deb\nURIs: {address}\nSuites: {suites}\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
            for address, suites in found
            if address
        )


def _host(address: str) -> str:
    return urlsplit(address).hostname or ""


class Database(Entry):
    """The services' Postgres, as pods see it."""

    host: Host
    port: Port = 5432


Ecosystem = Literal["PyPI", "npm", "Go", "Debian", "Maven"]
PACKAGES = "packages"


class Advisories(Entry):
    """Where the advisories of packages come from, and how old they may be. Older ones are no verdict.

    `sources` by ecosystem: URL or path of an export in OSV's form (a zip), or `packages` (Go, Debian): what the package proxies
    have. Of an ecosystem without a source there are those that the toolbox brings: of PyPI.
    """

    max_age_days: Annotated[int, Field(ge=1, le=36_500)] = 7
    sources: dict[Ecosystem, AdvisorySource] = Field(default_factory=dict)

    @property
    def of(self) -> str:
        """Give the ecosystems that a source is named of, as the scanner is told them."""
        return " ".join(sorted(self.sources))

    @model_validator(mode="after")
    def _of_packages(self) -> Advisories:
        for ecosystem, source in self.sources.items():
            if source == PACKAGES and ecosystem not in ("Go", "Debian"):
                raise PydanticCustomError(
                    "advisories",
                    "the package proxies have no advisories of {ecosystem}: name the URL or path of an export in OSV's form",
                    {"ecosystem": ecosystem},
                )
        return self


class Airflow(Entry):
    """Airflow's API and UI."""

    url: HttpUrl


class Platform(Entry):
    """The parts of one environment.

    `base_images` is what Dockerfiles may build on: images of the registry, by public name or pattern.
    """

    environment: Name
    git: Git
    registry: Registry
    images: dict[Name, ImageDigest]
    base_images: dict[BaseName, ImageDigest] = Field(default_factory=dict)
    package_index: PackageIndex = Field(default_factory=PackageIndex)
    packages: Packages | None = None
    database: Database
    advisories: Advisories = Field(default_factory=Advisories)
    airflow: Airflow

    def image(self, name: str) -> str:
        """Gives the reference (by digest) of a base or toolbox image such as `toolbox-python`.

        :raises CatalogError: when the platform has no such image.
        """
        if reference := self.images.get(name):
            return reference
        meant = difflib.get_close_matches(name, self.images, 1)
        raise CatalogError(
            f"The platform has no image `{name}`" + (f"; did you mean `{meant[0]}`?" if meant else "."),
            code="platform.image-unknown",
            remedy=f"Add it to `images` in the platform file (has: {', '.join(sorted(self.images))}).",
        )


def load_platform(path: Path | str | None = None) -> Platform:
    """Reads a platform file.

    :param path: the file; None is the one that SLIPWAY_PLATFORM names.
    :raises CatalogError: when there is none, or something is wrong in it.
    """
    if not (found := path or os.environ.get("SLIPWAY_PLATFORM")):
        raise CatalogError(
            "SLIPWAY_PLATFORM is not set, so it is unknown where the registry, git and Airflow are.",
            code="platform.not-set",
            remedy='`eval "$(slipway sandbox env)"`, or name your own platform file.',
        )
    return read(Path(found), Platform)
