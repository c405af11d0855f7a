"""How this machine reaches its package indexes, for builds of images: what pip, npm, Go, apt and Maven were told.

A build gets all of it as BuildKit secrets, so no layer holds any of it.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape

from slipway import process

SUITES = ("bookworm", "bookworm-updates", "bookworm-security")


@dataclass(frozen=True)
class PackageClients:
    """Settings of pip, npm, Go, apt and Maven on this machine, as a build or a fetching container needs them.

    All are optional.
    """

    ca: Path | None = None
    pip: Mapping[str, str] = field(default_factory=dict)
    npmrc: str = ""
    apt_sources: str = ""
    apt_conf: str = ""
    maven_settings: str = ""
    go_env: str = ""

    @classmethod
    def of_this_machine(cls) -> PackageClients:
        """Reads them out of the clients' own files and environment."""
        pip = _pip_settings()
        return cls(_ca(pip), pip, _npmrc(), _apt_sources(), _apt_conf(), _maven_settings(), _go_env())

    def sources(self, suite: str) -> str:
        """This machine's sources of Debian, of another suite: a mirror has all of them."""
        return self.apt_sources.replace(SUITES[0], suite)

    def secrets(self, suite: str = SUITES[0]) -> dict[str, str]:
        """BuildKit secrets by id, empty ones left out. `suite`: that apt is to ask for."""
        pip = {name: value for name, value in self.pip.items() if name != "cert"}
        ca = self.ca.read_text(encoding="utf-8") if self.ca else ""
        if ca:
            pip["cert"] = "/run/secrets/ca"
        lines = [
            f"{name} = {value.replace(chr(10), chr(10) + '    ')}\n" for name, value in sorted(pip.items())
        ]
        found = {
            "ca": ca,
            "pip_conf": "".join(["[global]\n", *lines]) if lines else "",
            "npmrc": self.npmrc,
            "go_env": self.go_env,
            "apt_sources": self.sources(suite),
            "apt_conf": self.apt_conf,
            "maven_settings": self.maven_settings,
        }
        return {name: text for name, text in found.items() if text}


def _pip_settings() -> dict[str, str]:
    home = Path.home()
    files: list[str | Path] = ["/etc/pip.conf", home / ".pip/pip.conf"]
    files += [Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf"]
    files += [Path(prefix) / "pip.conf" for prefix in [os.environ.get("VIRTUAL_ENV")] if prefix]
    files += [given for given in [os.environ.get("PIP_CONFIG_FILE")] if given]
    parsed = configparser.RawConfigParser(strict=False)
    parsed.read(files, encoding="utf-8")
    names = ("index-url", "extra-index-url", "trusted-host", "proxy", "cert")
    found = {}
    for name in names:
        value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        for section in ("download", "install", "global"):
            value = value or parsed.get(section, name, fallback="")
        if value:
            found[name] = value
    uv = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL")
    if uv:
        found.setdefault("index-url", uv)
    return found


def _ca(pip: Mapping[str, str]) -> Path | None:
    """A bundle that a client was told to use, or the system's where somebody added a certificate to it."""
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    for named in (
        pip.get("cert"),
        *map(os.environ.get, ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")),
    ):
        if named and Path(named).is_file():
            return Path(named)
    added = any(Path("/usr/local/share/ca-certificates").rglob("*.crt"))
    return system if added and system.is_file() else None


def _npmrc() -> str:
    given = _npm_variable("USERCONFIG")
    files = (Path("/etc/npmrc"), Path("/usr/etc/npmrc"), Path(given) if given else Path.home() / ".npmrc")
    lines = [
        line.strip()
        for file in files
        if file.is_file()
        for line in file.read_text(encoding="utf-8").splitlines()
    ]
    kept = [
        line
        for line in lines
        if re.match(r"(registry|strict-ssl|proxy|https-proxy|noproxy|@[^:]+:registry|//.*)\s*=", line)
    ]
    registry = _npm_variable("REGISTRY")
    kept += [f"registry={registry}"] if registry else []
    return "".join(os.path.expandvars(line) + "\n" for line in kept)


def _npm_variable(name: str) -> str | None:
    found = {variable.upper(): value for variable, value in os.environ.items()}
    return found.get(f"NPM_CONFIG_{name}")


def _go_env() -> str:
    """Where Go asks for modules, as a shell reads it; without a client here it is what the build's own client knows."""
    found = {name: os.environ.get(name, "") for name in ("GOPROXY", "GOSUMDB", "GOPRIVATE")}
    if shutil.which("go"):
        asked = process.run(["go", "env", "-json", *found], timeout_s=30)
        found = json.loads(asked)
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in found.items() if value)


def _apt_sources(root: Path = Path("/etc/apt")) -> str:
    """This machine's sources of Debian bookworm's own packages as deb822; other vendors' are left out."""
    stanzas: list[dict[str, str]] = []
    for file in [root / "sources.list", *sorted((root / "sources.list.d").glob("*"))]:
        if not file.is_file():
            continue
        text = file.read_text(encoding="utf-8")
        if file.suffix == ".sources":
            body = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
            for block in re.split(r"\n\s*\n", body):
                fields = re.findall(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", block, re.MULTILINE)
                stanzas.append({name.lower(): value.strip() for name, value in fields})
        elif file.suffix == ".list":
            for line in text.splitlines():
                if match := re.match(r"deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line):
                    options = dict(
                        part.lower().split("=", 1) for part in (match[1] or "").split() if "=" in part
                    )
                    stanzas.append(
                        {
                            "types": "deb",
                            "uris": match[2],
                            "suites": match[3],
                            "components": match[4].strip(),
                            **options,
                        }
                    )
    found = []
    for stanza in stanzas:
        suites = [suite for suite in stanza.get("suites", "").split() if suite in SUITES]
        own = "debian-archive" in stanza.get("signed-by", "debian-archive")
        if (
            suites
            and own
            and "main" in stanza.get("components", "").split()
            and stanza.get("enabled") != "no"
        ):
            uris = stanza["uris"]
            found.append(f"Types: deb\nURIs: {uris}\nSuites: {' '.join(suites)}\nComponents: main\n")
    return "\n".join(found)


def _apt_conf() -> str:
    if not shutil.which("apt-config"):
        return ""
    dump = process.run(["apt-config", "dump"], timeout_s=30, ok=range(256)).decode(errors="replace")
    names = r"https?::(?!CaInfo|CaPath|SslCert|SslKey)\S+|Check-Valid-Until|Check-Date|ForceIPv[46]|Proxy\S*"
    wanted = rf'Acquire::(?:{names}) ".+";'
    return "".join(line + "\n" for line in dump.splitlines() if re.fullmatch(wanted, line))


def _maven_settings() -> str:
    """The user's settings.xml, or else the installation's: mirrors, proxies and logins; encrypted ones do not work.

    Without any, Maven asks its own default repository.
    """
    places = [Path.home() / ".m2/settings.xml"]
    places += [Path(home) / "conf/settings.xml" for home in [os.environ.get("MAVEN_HOME")] if home]
    for file in (*places, Path("/etc/maven/settings.xml")):
        if file.is_file():
            text = re.sub(r"<!--.*?-->", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
            # Maven comes with one that leads nowhere, against addresses without TLS
            told = re.sub(r"<mirror>(?:(?!</mirror>).)*<blocked>true<.*?</mirror>", "", text, flags=re.DOTALL)
            if not re.search("<(mirror|proxy|server|profile)>", told):
                continue
            return re.sub(r"\$\{env\.(\w+)\}", lambda name: escape(os.environ.get(name[1], "")), text)
    return ""
