"""How containers that fetch dependencies reach this machine's package index: variables, and a volume for files and secrets."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from slipway.toolboxes.clients import PackageClients
from slipway_sandbox.engine import Engine, open_engine

INDEX_MOUNT = "/run/slipway-ca"
INDEX_VOLUME = "slipway-index-ca"
INDEX_WHOLE = f"{INDEX_VOLUME}-filled"


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
    with open_engine(docker_host) as engine:
        label = '{{index .Labels "dev.slipway.key"}}'
        keys = [
            engine.run("volume", "inspect", "--format", label, name, check=False).stdout.strip()
            for name in (INDEX_VOLUME, INDEX_WHOLE)
        ]
        if keys == [key, key]:
            return INDEX_VOLUME
        for name in (INDEX_WHOLE, INDEX_VOLUME):
            if engine.run("volume", "inspect", name, check=False).returncode == 0:
                engine.run("volume", "rm", name)
        engine.run("volume", "create", "--label", f"dev.slipway.key={key}", INDEX_VOLUME)
        _fill(engine, INDEX_VOLUME, files)
        # a label cannot be given later: a second, empty volume says that the first was filled
        engine.run("volume", "create", "--label", f"dev.slipway.key={key}", INDEX_WHOLE)
    return INDEX_VOLUME


def _fill(engine: Engine, volume: str, files: Mapping[str, str]) -> None:
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
