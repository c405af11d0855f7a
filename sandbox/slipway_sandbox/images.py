"""The sandbox's base and toolbox images: built from `sandbox/images`, pushed, and found again by content.

An image's key is a hash of its folder, of what it takes from `sandbox/images/shared`, and of its bases'
keys. The key is the image's tag and its label `dev.slipway.key`: a registry that knows the key needs no
build, whoever built it and whenever. Settings of the machine's package clients reach a build as BuildKit
secrets only, so no layer holds any of them.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import io
import json
import os
import re
import shutil
import ssl
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import urljoin, urlsplit, urlunsplit
from xml.sax.saxutils import escape

from slipway_sandbox.layout import SandboxError

DOCKER = "/usr/bin/docker"  # Debian's docker.io: what secrets and --network do below is BuildKit's of 20.10
FOLDER = Path(__file__).resolve().parents[1] / "images"
IMAGES: dict[
    str, dict[str, str]
] = {  # name -> build argument -> the image it names; "" is the root file system
    "base-debian": {"BASE": ""},
    "base-python": {"BASE": "base-debian"},
    "toolbox-scan": {"BASE": "base-python"},
    "toolbox-migrations": {"BASE": "base-python"},
    "toolbox-python": {"BASE": "base-python"},
    "toolbox-ansible": {"BASE": "base-python"},
    "toolbox-postgres": {"BASE": "base-debian", "BASE_PYTHON": "base-python"},
}
SUITES = ("bookworm", "bookworm-updates", "bookworm-security")
# `usrmerge` would bring all of perl; its alternative `usr-is-merged` asks for a tree that is merged already.
ROOTFS = (
    "--variant=minbase",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    '--setup-hook=mkdir -p "$1/etc/apt/preferences.d"'
    " && printf 'Package: usrmerge\\nPin: release *\\nPin-Priority: -1\\n'"
    ' > "$1/etc/apt/preferences.d/slipway"',
    *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "info", "locale", "lintian", "doc")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    '--customize-hook=rm -rf "$1"/etc/apt/sources.list* "$1"/etc/apt/preferences.d/slipway'
    ' "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/var/lib/apt/lists/*'
    ' "$1"/var/cache/apt/* "$1"/var/cache/debconf/*-old'
    ' "$1"/var/log/apt "$1"/var/log/dpkg.log "$1"/var/log/alternatives.log'
    ' && mv "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/slipway'
    ' && find "$1"/usr/share/doc -type f ! -name copyright -delete',
    "bookworm",
)
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)
KEPT_S = 14 * 86_400
BUILD_TIMEOUT_S = 1800
INDEX_MOUNT = "/run/slipway-ca"
INDEX_VOLUME = "slipway-index-ca"
Log = Callable[[str], None]


class ImageError(SandboxError):
    """An image cannot be built, pushed or looked up; the message says which, why, and what to do."""


# -- what this machine's own package clients use ---------------------------------------------------------


@dataclass(frozen=True)
class PackageClients:
    """Settings of pip, npm, apt and Maven on this machine, as a build or a fetching container needs them.

    All are optional.
    """

    ca: Path | None = None
    pip: Mapping[str, str] = field(default_factory=dict)
    npmrc: str = ""
    apt_sources: str = ""
    apt_conf: str = ""
    maven_settings: str = ""

    @classmethod
    def of_this_machine(cls) -> PackageClients:
        """Reads them out of the clients' own files and environment."""
        pip = _pip_settings()
        return cls(_ca(pip), pip, _npmrc(), _apt_sources(), _apt_conf(), _maven_settings())

    def secrets(self) -> dict[str, str]:
        """BuildKit secrets by id, empty ones left out."""
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
            "apt_sources": self.apt_sources,
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
    dump = subprocess.run(
        ["apt-config", "dump"], capture_output=True, text=True, timeout=30, check=False
    ).stdout
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


def index_environment() -> dict[str, str]:
    """Environment for containers that fetch dependencies: the index, and files of `index_ca_volume`'s volume.

    No value is a secret: a user and password in an index's address are left out here and go into the
    volume's `netrc`.
    """
    clients = PackageClients.of_this_machine()
    environment = {
        name: os.environ[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") if name in os.environ
    }
    index, extra = (_without_login(clients.pip.get(name, ""))[0] for name in ("index-url", "extra-index-url"))
    if index:
        environment |= {"PIP_INDEX_URL": index, "UV_DEFAULT_INDEX": index}
    if extra:
        environment |= {"PIP_EXTRA_INDEX_URL": extra, "UV_INDEX": extra}
    if clients.pip.get("trusted-host"):
        environment |= {
            "PIP_TRUSTED_HOST": clients.pip["trusted-host"],
            "UV_INSECURE_HOST": clients.pip["trusted-host"],
        }
    files = _index_files(clients)
    if "ca.crt" in files:
        environment |= {"PIP_CERT": f"{INDEX_MOUNT}/ca.crt", "SSL_CERT_FILE": f"{INDEX_MOUNT}/ca.crt"}
    if "netrc" in files:
        environment["NETRC"] = f"{INDEX_MOUNT}/netrc"
    return environment


def index_ca_volume(docker_host: str) -> str | None:
    """The volume with this machine's certificates for package clients (`ca.crt`); None where none are set."""
    files = _index_files(PackageClients.of_this_machine())
    if not files:
        return None
    key = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]
    with _engine(docker_host) as engine:
        label = '{{index .Labels "dev.slipway.key"}}'
        found = engine.run("volume", "inspect", "--format", label, INDEX_VOLUME, check=False)
        if found.returncode == 0 and found.stdout.strip() == key:
            return INDEX_VOLUME
        if found.returncode == 0:
            engine.run("volume", "rm", INDEX_VOLUME)
        engine.run("volume", "create", "--label", f"dev.slipway.key={key}", INDEX_VOLUME)
        try:
            _fill(engine, INDEX_VOLUME, files)
        except ImageError:
            engine.run(
                "volume", "rm", "-f", INDEX_VOLUME, check=False
            )  # half-made, but its label would say whole
            raise
    return INDEX_VOLUME


def _fill(engine: _Engine, volume: str, files: Mapping[str, str]) -> None:
    """Copies files into a volume by a container that never runs: the engine may be on another machine."""
    image = engine.run("import", "-", stdin=_tar({})).stdout.strip()
    try:
        container = engine.run("create", "-v", f"{volume}:{INDEX_MOUNT}", image, "none").stdout.strip()
        try:
            engine.run("cp", "-", f"{container}:{INDEX_MOUNT}", stdin=_tar(files))
        finally:
            engine.run("rm", "-f", container)
    finally:
        engine.run("rmi", "-f", image, check=False)


def _index_files(clients: PackageClients) -> dict[str, str]:
    files = {"ca.crt": clients.ca.read_text(encoding="utf-8")} if clients.ca else {}
    logins = [_without_login(clients.pip.get(name, ""))[1] for name in ("index-url", "extra-index-url")]
    if any(logins):
        files["netrc"] = "".join(logins)
    return files


def _without_login(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    if not parts.hostname or parts.username is None:
        return url, ""
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, f"machine {parts.hostname} login {parts.username} password {parts.password or ''}\n"


def _tar(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


# -- keys -----------------------------------------------------------------------------------------------


def keys(folder: Path = FOLDER, base_image: str | None = None) -> dict[str, str]:
    """Each image's key: 16 hex digits over what it is made of.

    `base_image` replaces our own Debian root file system.
    """
    root = hashlib.sha256((base_image or "\0".join(ROOTFS)).encode()).hexdigest()
    found: dict[str, str] = {}
    for name, bases in IMAGES.items():
        dockerfile = folder / name / "Dockerfile"
        if not dockerfile.is_file():
            raise ImageError(f"image {name}: {dockerfile} is missing: the checkout is not whole")
        text = dockerfile.read_text(encoding="utf-8")
        shared = [part for part in sorted((folder / "shared").iterdir()) if f"shared/{part.name}" in text]
        digest = hashlib.sha256()
        for part in [folder / name, *shared]:
            for file in sorted(
                path for path in part.rglob("*") if path.is_file() and "__pycache__" not in path.parts
            ):
                facts = (file.relative_to(folder), bool(file.stat().st_mode & 0o100), file.stat().st_size)
                digest.update("\0".join(map(str, facts)).encode() + b"\0")
                digest.update(file.read_bytes())
        for base in bases.values():
            digest.update((found[base] if base else root).encode())
        found[name] = digest.hexdigest()[:16]
    return found


# -- engine and registry --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Engine:
    environment: Mapping[str, str]

    def run(
        self,
        *arguments: str,
        check: bool = True,
        stdin: bytes | None = None,
        timeout_s: float = 600,
        output: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        subject = output.stem if output else arguments[-1]
        return _run(
            [DOCKER, *arguments],
            f"docker {arguments[0]} {subject}",
            self.environment,
            check,
            stdin,
            timeout_s,
            output,
        )


def _run(
    argv: Sequence[str],
    what: str,
    environment: Mapping[str, str],
    check: bool = True,
    stdin: bytes | None = None,
    timeout_s: float = 600,
    output: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs one command; `output` takes both streams of a long one.

    A failure is an ImageError with the last lines.
    """
    try:
        with output.open("wb") if output else tempfile.TemporaryFile() as sink:
            done = subprocess.run(
                argv,
                input=stdin,
                env=dict(environment),
                timeout=timeout_s,
                check=False,
                stdout=sink if output else subprocess.PIPE,
                stderr=subprocess.STDOUT if output else subprocess.PIPE,
            )
    except FileNotFoundError as missing:
        package = {"mmdebstrap": "mmdebstrap", "docker": "docker.io"}.get(Path(argv[0]).name, argv[0])
        raise ImageError(f"{what}: {argv[0]} is not installed: apt-get install {package}") from missing
    except subprocess.TimeoutExpired as late:
        raise ImageError(
            f"{what}: not done after {timeout_s:.0f} s" + (f", see {output}" if output else "")
        ) from late
    text = subprocess.CompletedProcess(
        argv, done.returncode, (done.stdout or b"").decode(errors="replace"), ""
    )
    if check and done.returncode:
        said = (
            output.read_text(encoding="utf-8", errors="replace")
            if output
            else (done.stderr or b"").decode(errors="replace")
        )
        last = "\n".join("  " + line[:300] for line in said.strip().splitlines()[-25:])
        where = f"; all of it is in {output}" if output else ""
        raise ImageError(f"{what} failed (exit {done.returncode}){where}. Last lines:\n{last}")
    return text


@contextmanager
def _engine(docker_host: str, login: tuple[str, str] | None = None) -> Iterator[_Engine]:
    """The engine's client with a configuration of its own: the user's is left alone."""
    with tempfile.TemporaryDirectory(prefix="slipway-docker-") as config:
        content = {"auths": {login[0]: {"auth": login[1]}}} if login else {}
        (Path(config) / "config.json").write_text(json.dumps(content), encoding="utf-8")
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "BUILDKIT_"))
        }
        yield _Engine({**kept, "DOCKER_HOST": docker_host, "DOCKER_CONFIG": config, "DOCKER_BUILDKIT": "1"})


@dataclass(frozen=True)
class _Registry:
    address: str
    authorization: str
    tls: ssl.SSLContext

    @classmethod
    def of(cls, address: str, ca_file: str | Path, username: str, password_file: str | Path) -> _Registry:
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
class _Kept:
    """Pushed images as the registry holds them, kept in the cache: an emptied registry gets the same digests back."""

    folder: Path
    registry: _Registry

    def keep(self, name: str, tag: str) -> None:
        """Copies an image's manifest and blobs out of the registry, once; the manifest is written last."""
        if self._manifest(name, tag).is_file():
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
        self._manifest(name, tag).write_bytes(raw)

    def restore(self, name: str, tag: str) -> str | None:
        """Puts a kept image back into the registry and gives its digest; None where it is not kept whole.

        The registry compares each blob with its digest, so a broken one is refused: then it is forgotten here.
        """
        manifest = self._manifest(name, tag)
        raw = manifest.read_bytes() if manifest.is_file() else b""
        if not raw or not all(self._blob(digest).is_file() for digest in _blobs(raw)):
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
            if not wanted and time.time() - manifest.stat().st_mtime > KEPT_S:
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


def _blobs(manifest: bytes) -> list[str]:
    content = json.loads(manifest)
    return [part["digest"] for part in (content["config"], *content["layers"])]


# -- building -------------------------------------------------------------------------------------------


def ensure(
    docker_host: str,
    registry: str,
    ca_file: str | Path,
    username: str,
    password_file: str | Path,
    cache: str | Path,
    log: Log,
) -> dict[str, str]:
    """Sees to it that registry and engine hold every image as `sandbox/images` has it now.

    What is missing is pulled, put back from the cache, pushed or built: whichever is possible first.

    :param docker_host: the engine's address, e.g. `unix:///…/docker.sock`; it must trust the registry's
    certificate
    :param registry: `host:port`, as the engine and the cluster reach it
    :param ca_file: certificate authority of the registry
    :param username: an account that may push; :param password_file: file that holds its password
    :param cache: `images/` of SLIPWAY_CACHE: the root file system, pushed images and the builds' logs
    :param log: told each step with its seconds
    :returns: image name -> `registry/slipway/NAME@sha256:…`
    :raises ImageError: with the image, the last lines of its log, and what to do
    """
    base_image = os.environ.get("SLIPWAY_BASE_IMAGE") or None
    folder = Path(cache)
    folder.mkdir(parents=True, exist_ok=True)
    tags = keys(base_image=base_image)
    place = _Registry.of(registry, ca_file, username, password_file)
    with (
        _engine(docker_host, (registry, place.authorization)) as engine,
        ThreadPoolExecutor(len(IMAGES)) as asking,
    ):
        digests = dict(zip(tags, asking.map(lambda name: place.digest(name, tags[name]), tags), strict=True))
        held = _held(engine, registry)
        refs = {name: f"{registry}/slipway/{name}@{digest}" for name, digest in digests.items() if digest}
        kept = _Kept(folder / "pushed", place)
        missing = [name for name in IMAGES if name not in refs or refs[name] not in held]
        if missing:
            run = _Run(engine, place, tags, base_image, folder, kept, log)
            with run.secrets():
                refs |= run.all_of(missing, refs)
            kept.prune(tags)
        for name in IMAGES:
            kept.keep(name, tags[name])
    return {name: refs[name] for name in IMAGES}


def _held(engine: _Engine, registry: str) -> set[str]:
    listed = engine.run(
        "image", "ls", "--digests", "--no-trunc", "--format", "{{.Repository}}@{{.Digest}}"
    ).stdout
    return {line for line in listed.splitlines() if line.startswith(f"{registry}/slipway/")}


@dataclass
class _Run:
    """One round of builds."""

    engine: _Engine
    registry: _Registry
    tags: Mapping[str, str]
    base_image: str | None
    folder: Path
    kept: _Kept
    log: Log
    secret_arguments: list[str] = field(default_factory=list)
    clients: PackageClients = field(default_factory=PackageClients.of_this_machine)
    telling: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def secrets(self) -> Iterator[None]:
        """Files with the clients' settings, for as long as the builds run."""
        with tempfile.TemporaryDirectory(prefix="slipway-secrets-") as directory:
            for name, text in self.clients.secrets().items():
                file = Path(directory) / name
                file.write_text(text, encoding="utf-8")
                self.secret_arguments += ["--secret", f"id={name},src={file}"]
            yield

    def tell(self, text: str) -> None:
        """Logs one line; two images are built at a time."""
        with self.telling:
            self.log(text)

    def all_of(self, missing: Sequence[str], refs: Mapping[str, str]) -> dict[str, str]:
        """Makes the missing images, each after its bases, two at a time."""
        made: dict[str, str] = {}
        waiting, running = list(missing), dict[Future[str], str]()
        with ThreadPoolExecutor(2) as pool:
            while waiting or running:
                for name in [
                    name for name in waiting if not any(base in waiting for base in IMAGES[name].values())
                ]:
                    if len(running) < 2 and not any(
                        base in running.values() for base in IMAGES[name].values()
                    ):
                        waiting.remove(name)
                        running[pool.submit(self.one, name, refs.get(name))] = name
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    made[running.pop(future)] = future.result()
        return made

    def one(self, name: str, ref: str | None) -> str:
        """Brings one image into engine and registry by the shortest way; gives its reference by digest."""
        local, remote = (
            f"slipway/{name}:{self.tags[name]}",
            f"{self.registry.address}/slipway/{name}:{self.tags[name]}",
        )
        began = time.monotonic()
        built_here = not self.engine.run("image", "inspect", local, check=False).returncode
        if not ref and not built_here and (digest := self.kept.restore(name, self.tags[name])):
            ref = f"{self.registry.address}/slipway/{name}@{digest}"
        if ref:
            self.engine.run("pull", "-q", ref, timeout_s=BUILD_TIMEOUT_S)
            self.engine.run("tag", ref, local)
            self.tell(f"image {name}: pulled in {time.monotonic() - began:.1f} s")
            return ref
        if not built_here:
            self.tell(f"image {name}: building")
            self.build(name, local)
        built = time.monotonic()
        self.engine.run("tag", local, remote)
        self.engine.run("push", "-q", remote, timeout_s=BUILD_TIMEOUT_S)
        digest = self.registry.digest(name, self.tags[name])
        if not digest:
            raise ImageError(f"image {name}: pushed, but the registry does not have {remote}: see its log")
        size = int(self.engine.run("image", "inspect", "--format", "{{.Size}}", local).stdout)
        done = time.monotonic()
        spent = f"built in {built - began:.1f} s, pushed in {done - built:.1f} s"
        self.tell(f"image {name}: {size / 1e6:.0f} MB, {spent}")
        return f"{self.registry.address}/slipway/{name}@{digest}"

    def build(self, name: str, local: str) -> None:
        arguments = []
        for argument, base in IMAGES[name].items():
            image = f"slipway/{base}:{self.tags[base]}" if base else self.root()
            arguments += ["--build-arg", f"{argument}={image}"]
        for proxy in (
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
        ):  # predefined by BuildKit: they stay out of the image
            arguments += ["--build-arg", proxy] if proxy in os.environ else []
        labels = [f"dev.slipway.image={name}", f"dev.slipway.key={self.tags[name]}"]
        self.engine.run(
            "build",
            "--network",
            "host",
            "--progress",
            "plain",
            "-t",
            local,
            "-f",
            str(FOLDER / name / "Dockerfile"),
            *arguments,
            *self.secret_arguments,
            *(part for label in labels for part in ("--label", label)),
            str(FOLDER),
            timeout_s=BUILD_TIMEOUT_S,
            output=self.folder / f"{name}.log",
        )

    def root(self) -> str:
        """What base-debian stands on: a given image, or Debian's minimal system made here."""
        if self.base_image:
            if self.engine.run("image", "inspect", self.base_image, check=False).returncode:
                self.engine.run("pull", "-q", self.base_image, timeout_s=BUILD_TIMEOUT_S)
            return self.base_image
        key = hashlib.sha256("\0".join(ROOTFS).encode()).hexdigest()[:16]
        tarball = self.folder / f"rootfs-{key}.tar"
        if not tarball.is_file():
            began = time.monotonic()
            self.tell("image base-debian: making Debian's root file system")
            with tempfile.TemporaryDirectory(prefix="rootfs-", dir=self.folder) as work:
                sources, conf, unfinished = (
                    Path(work) / part for part in ("debian.sources", "apt.conf", "rootfs.tar")
                )
                if not self.clients.apt_sources:
                    raise ImageError(
                        "image base-debian: /etc/apt names no source of Debian bookworm on this machine; "
                        "add one, or name an image to stand on by SLIPWAY_BASE_IMAGE"
                    )
                sources.write_text(self.clients.apt_sources, encoding="utf-8")
                conf.write_text(self.clients.apt_conf or "// none\n", encoding="utf-8")
                *options, suite = ROOTFS
                argv = [
                    "mmdebstrap",
                    "--quiet",
                    *options,
                    f"--aptopt={conf}",
                    suite,
                    str(unfinished),
                    str(sources),
                ]
                environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
                _run(
                    argv,
                    "mmdebstrap",
                    environment,
                    timeout_s=BUILD_TIMEOUT_S,
                    output=self.folder / "rootfs.log",
                )
                unfinished.rename(tarball)
            self.tell(f"image base-debian: root file system made in {time.monotonic() - began:.1f} s")
        image = f"slipway/rootfs:{key}"
        if self.engine.run("image", "inspect", image, check=False).returncode:
            self.engine.run("import", str(tarball), image)
        return image
