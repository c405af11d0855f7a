"""The sandbox's base and toolbox images: built from `toolboxes`, pushed, and found again by content.

An image's key is a hash of its folder, of what it takes from `toolboxes/shared`, and of its bases'
keys. The key is the image's tag and its label `dev.slipway.key`: a registry that knows the key needs no
build, whoever built it and whenever. Settings of the machine's package clients reach a build as BuildKit
secrets only, so no layer holds any of them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from slipway_sandbox.engine import Engine, ImageError, open_engine, run_command
from slipway_sandbox.image_store import Kept, Registry
from slipway_sandbox.leftovers import unmount_below
from slipway_sandbox.package_clients import PackageClients

FOLDER = Path(__file__).resolve().parents[2] / "toolboxes"
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
BUILD_TIMEOUT_S = 1800
Log = Callable[[str], None]


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


def ensure(
    docker_host: str,
    registry: str,
    ca_file: str | Path,
    username: str,
    password_file: str | Path,
    cache: str | Path,
    log: Log,
) -> dict[str, str]:
    """Sees to it that registry and engine hold every image as `toolboxes` has it now.

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
    place = Registry.of(registry, ca_file, username, password_file)
    with (
        open_engine(docker_host, (registry, place.authorization)) as engine,
        ThreadPoolExecutor(len(IMAGES)) as asking,
    ):
        digests = dict(zip(tags, asking.map(lambda name: place.digest(name, tags[name]), tags), strict=True))
        held = _held(engine, registry)
        refs = {name: f"{registry}/slipway/{name}@{digest}" for name, digest in digests.items() if digest}
        kept = Kept(folder / "pushed", place)
        missing = [name for name in IMAGES if name not in refs or refs[name] not in held]
        if missing:
            run = _Run(engine, place, tags, base_image, folder, kept, log)
            with run.secrets():
                refs |= run.all_of(missing, refs)
            kept.prune(tags)
        for name in IMAGES:
            kept.keep(name, tags[name])
    return {name: refs[name] for name in IMAGES}


def _held(engine: Engine, registry: str) -> set[str]:
    listed = engine.run(
        "image", "ls", "--digests", "--no-trunc", "--format", "{{.Repository}}@{{.Digest}}"
    ).stdout
    return {line for line in listed.splitlines() if line.startswith(f"{registry}/slipway/")}


@dataclass
class _Run:
    """One round of builds."""

    engine: Engine
    registry: Registry
    tags: Mapping[str, str]
    base_image: str | None
    folder: Path
    kept: Kept
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
            for left in self.folder.glob("rootfs-*/"):  # of one that was ended
                unmount_below(left)
                shutil.rmtree(left, ignore_errors=True)
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
                environment = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "TMPDIR": work}
                run_command(
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
