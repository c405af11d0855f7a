"""Where the package proxies ask: addresses and logins of indexes, from this machine's own package clients, as nginx reads them.

No index is named here: a client that was told of none knows its own.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit
from xml.etree import ElementTree as ET

from slipway import process
from slipway.errors import Permanent, SlipwayError, Transient
from slipway.toolboxes.clients import PackageClients

SYSTEM_CA = Path("/etc/ssl/certs/ca-certificates.crt")
ASK_TIMEOUT_S = 30


class Kind(StrEnum):
    """Whose packages an upstream has."""

    PYPI = "pypi"
    NPM = "npm"
    GO = "go"
    MAVEN = "maven"
    DEBIAN = "debian"
    DEBIAN_SECURITY = "debian-security"


@dataclass(frozen=True)
class Upstream:
    """One index.

    :param url: without a login, and without a slash at its end.
    :param authorization: the header that it wants, or none. It is a secret.
    :param files: of a Python index, what the addresses of its files begin with; "" where they are relative to it.
    """

    url: str
    authorization: str = ""
    files: str = ""

    def __post_init__(self) -> None:
        """Refuse what nginx would read as more than an address, or a header.

        :raises Permanent: says which.
        """
        for text, legal in ((self.url, _URL), (self.files, rf"|{_URL}"), (self.authorization, _HEADER)):
            if not re.fullmatch(legal, text):
                shown = (
                    "its login" if text == self.authorization else f"`{re.sub('//[^/]*@', '//***@', text)}`"
                )
                raise Permanent(
                    f"package proxies: {shown} cannot be handed to nginx",
                    code="packages.upstream-malformed",
                    remedy="it must be an http(s) address, without a query, of plain characters: correct the client's settings",
                )

    def __repr__(self) -> str:
        """Show it without its login."""
        return f"Upstream({self.url!r}, files={self.files!r})"


_URL = r"https?://[A-Za-z0-9._~:\[\]-]+(?:/[A-Za-z0-9._~%!()*+,=:@/-]*)?"
_HEADER = r"[A-Za-z0-9._~+/=: -]*"


def of(url: str, authorization: str = "") -> Upstream:
    """Give the upstream at an address that may hold user and password."""
    parts = urlsplit(url.strip())
    if parts.username is not None and not authorization:
        authorization = _basic(unquote(parts.username), unquote(parts.password or ""))
    bare = parts._replace(netloc=parts.netloc.rpartition("@")[2], path=parts.path.rstrip("/"))
    return Upstream(urlunsplit(bare), authorization)


def _basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def of_this_machine(clients: PackageClients) -> dict[Kind, Upstream]:
    """Give the upstreams that this machine's clients use; without those of which no client here knows anything."""
    asked: dict[Kind, Callable[[], Upstream | None]] = {
        Kind.PYPI: lambda: _given(clients.pip.get("index-url") or _pip_default()),
        Kind.NPM: lambda: _npm(clients.npmrc),
        Kind.GO: lambda: _given(_go()),
        Kind.MAVEN: lambda: _maven(clients.maven_settings),
    }
    found = {kind: upstream for kind, ask in asked.items() if (upstream := ask())}
    for stanza in clients.apt_sources.split("\n\n"):
        fields = dict(re.findall(r"^(\w+): (.*)", stanza, re.MULTILINE))
        if uris := fields.get("URIs", "").split():
            is_security = "bookworm-security" in fields["Suites"]
            found.setdefault(Kind.DEBIAN_SECURITY if is_security else Kind.DEBIAN, of(uris[0]))
    return found


def _given(url: str) -> Upstream | None:
    return of(url) if url else None


def _said(*argv: str, environment: Mapping[str, str] | None = None) -> str:
    """Give what a client says of itself; nothing if it is not here."""
    if not shutil.which(argv[0]):
        return ""
    try:
        return process.run(argv, timeout_s=60, cwd=Path("/"), environment=environment).decode().strip()
    except Transient:
        return ""


def _pip_default() -> str:
    return _said(sys.executable, "-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)")


def _npm(npmrc: str) -> Upstream | None:
    settings = dict(re.findall(r"^(\S+?)\s*=\s*(.*)$", npmrc, re.MULTILINE))
    url = settings.get("registry") or _said("npm", "config", "get", "registry")
    if not url.startswith("http"):
        return None
    below = re.sub(r"^https?:", "", url).rstrip("/")
    if token := settings.get(f"{below}/:_authToken"):
        return of(url, f"Bearer {token}")
    if encoded := settings.get(f"{below}/:_auth"):
        return of(url, f"Basic {encoded}")
    return of(url)


def _go() -> str:
    told = os.environ.get("GOPROXY") or _said("go", "env", "GOPROXY")
    return next((one for one in re.split("[,|]", told) if one.startswith("http")), "")


def _maven(settings: str) -> Upstream | None:
    """The first mirror with its server's login; else the repository that an installed Maven has built in."""
    if settings:
        root = ET.fromstring(re.sub(r'\sxmlns="[^"]*"', "", settings, count=1))  # noqa: S314 - this machine's own file
        logins = {
            one.findtext("id"): _basic(one.findtext("username") or "", one.findtext("password") or "")
            for one in root.iter("server")
            if one.findtext("username")
        }
        for mirror in root.iter("mirror"):
            if url := (mirror.findtext("url") or "").strip():
                return of(url, logins.get(mirror.findtext("id"), ""))
    homes = [Path(home) for home in (os.environ.get("MAVEN_HOME"), "/usr/share/maven") if home]
    for jar in (jar for home in homes for jar in sorted(home.glob("lib/maven-model-builder-*.jar"))):
        with contextlib.suppress(KeyError, zipfile.BadZipFile):
            model = zipfile.ZipFile(jar).read("org/apache/maven/model/pom-4.0.0.xml").decode()
            if match := re.search(r"<url>\s*(https?://.*?)\s*</url>", model):
                return of(match[1])
    return None


def with_files(upstream: Upstream, clients: PackageClients) -> Upstream:
    """Give a Python index with where its files are: asked once, of a project that every index has.

    :raises Transient: if it does not answer.
    """
    import requests

    login = {"Authorization": upstream.authorization} if upstream.authorization else {}
    try:
        answer = requests.get(
            f"{upstream.url}/pip/",
            headers={"Accept": "text/html", **login},
            timeout=ASK_TIMEOUT_S,
            verify=str(clients.ca or SYSTEM_CA),
        )
        answer.raise_for_status()
    except (requests.RequestException, OSError) as error:
        raise Transient(
            f"package proxies: the Python index {upstream.url} does not answer: {error}",
            code="packages.index-unreachable",
            remedy="see pip's settings on this machine, and that the index answers it (`pip download pip`)",
        ) from error
    return replace(upstream, files=files_of(answer.text))


def files_of(page: str) -> str:
    """Give what the addresses of files on a project's page begin with, up to their host; "" if they are relative."""
    found = re.findall(r"""href\s*=\s*["'](https?://[^/"'#?]+)/""", page)
    return str(found[0]) if found else ""


def configuration(upstreams: Mapping[Kind, Upstream], clients: PackageClients) -> dict[str, str]:
    """Give what the upstream half is told, by file name. It holds logins.

    :raises Permanent: if the certificates cannot be read.
    """
    lines = []
    for kind in Kind:
        upstream, name = upstreams.get(kind), kind.replace("-", "_")
        lines += [_variable(f"up_{name}", upstream.url if upstream else "")]
        lines += [_variable(f"auth_{name}", upstream.authorization if upstream else "")]
    pypi, npm = upstreams.get(Kind.PYPI), upstreams.get(Kind.NPM)
    beside = pypi.url.removesuffix("/simple") if pypi and not pypi.files else ""
    # the login is for the index: another host gets none
    same = pypi and pypi.files and urlsplit(pypi.files).netloc == urlsplit(pypi.url).netloc
    lines += [
        _variable("up_files", pypi.files if pypi else ""),
        _variable("auth_files", pypi.authorization if pypi and same else ""),
        _variable("up_beside", beside),
    ]
    try:
        ca = (clients.ca or SYSTEM_CA).read_text(encoding="utf-8")
    except OSError as error:
        raise Permanent(
            f"package proxies: the certificates of authorities cannot be read: {error}",
            code="packages.no-authorities",
            remedy="install ca-certificates, or name a bundle by SSL_CERT_FILE",
        ) from error
    return {
        "upstreams.conf": "\n".join(lines) + "\n",
        "rewrite-pypi.conf": f"sub_filter '{pypi.files}/' 'http://$host/files/';\n"
        if pypi and pypi.files
        else "",
        "rewrite-npm.conf": f"sub_filter '{npm.url}/' 'http://$host/';\n" if npm else "",
        "ca.crt": ca,
    }


def _variable(name: str, value: str) -> str:
    return f'map "" ${name} {{ default "{value}"; }}'


def known(
    clients: PackageClients, remembered: Mapping[str, str]
) -> tuple[dict[Kind, Upstream], SlipwayError | None]:
    """Give the upstreams with where the Python index has its files; as remembered, with the error, if it does not answer.

    :param remembered: where indexes had their files, by address.
    :raises Transient: if it does not answer, and nothing is remembered of it.
    """
    found = of_this_machine(clients)
    if not (pypi := found.get(Kind.PYPI)):
        return found, None
    try:
        return {**found, Kind.PYPI: with_files(pypi, clients)}, None
    except Transient as error:
        if pypi.url not in remembered:
            raise
        return {**found, Kind.PYPI: replace(pypi, files=remembered[pypi.url])}, error
