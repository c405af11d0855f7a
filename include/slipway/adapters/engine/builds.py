"""Building images: BuildKit in a container of a service's own, on a network where nothing but the package proxies is reached.

The builder has no registry and no login: what a Dockerfile names is handed to it, and the image comes out in a volume.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from slipway import build_context, buildkit, oci_layout
from slipway.adapters.engine.containers import remove_container, resolver, wait_exit
from slipway.adapters.engine.networks import remove_network
from slipway.adapters.engine.output import bounded, log_tail
from slipway.adapters.engine.packages import package_network
from slipway.adapters.engine.refusals import APIClient, explained
from slipway.adapters.engine.volumes import remove_volume
from slipway.errors import PolicyFailed, SlipwayError, Transient

UID = 10003
"""User of the builder; its image makes it."""
MEMORY, CPUS, PIDS, DISK_GB = "3g", 2.0, 2048, 20
"""What a build may take at most. Disk: layers and caches of one service, of all its builds together."""

MADE_AT = 1_700_000_000
"""Time of every file that a build adds, in seconds since 1970: any, but the same for each commit. So a layer that a commit does
not change is the same layer, which the builder, the registry, the scan and the cluster's nodes have already."""

STATE, WORK, OUT = "/var/lib/buildkit", "/work", "/out"
TOO_LARGE = 75
"""Exit code of a builder that takes more disk than it may (`toolboxes/image-builder/bin/start`)."""
_ALIVE = ["buildctl", "debug", "workers"]
_FORGET = ["buildctl", "prune", "--filter", "type==source.local"]
READY_S, TIMED_OUT = 60, 124


@dataclass(frozen=True)
class Base:
    """An image that a Dockerfile names, and is given.

    :param name: as it stands there.
    :param digest: of its manifest. :param layout: gives it as the tar of an OCI layout.
    """

    name: str
    digest: str
    layout: Callable[[], IO[bytes]] = field(repr=False)

    @property
    def folder(self) -> str:
        """Give where the builder has it."""
        return f"{STATE}/bases/{self.digest.rpartition(':')[2]}"


@dataclass(frozen=True)
class Place:
    """Where an image is built, and where it goes.

    :param name: of the builder, its network and the volume of what it keeps: one for each service.
    :param image: of the builder. :param output: the volume that gets the image, as an OCI layout in the folder `image`.
    :param proxy: the container with the package proxies, None if there are none; :param hosts: their names.
    :param labels: of all that is made for this run.
    """

    name: str
    image: str
    output: str
    proxy: str | None
    hosts: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Recipe:
    """How an image is made of a commit's files.

    :param dockerfile: its path there. :param target: its stage to stop at, None for the last.
    :param arguments: of the build, by name. :param labels: of the image.
    :param bases: what its FROM may name. :param timeout_s: how long it may take, in seconds.
    """

    dockerfile: str
    target: str | None
    platform: str
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    bases: Sequence[Base]
    timeout_s: float


@dataclass(frozen=True)
class Made:
    """What was built.

    :param layers: their digests, the lowest first. :param config: the image's configuration (OCI image spec 1.1).
    """

    digest: str
    layers: tuple[str, ...]
    config: Mapping[str, Any]


def build(
    client: APIClient,
    place: Place,
    context: IO[bytes],
    recipe: Recipe,
    *,
    folders: Mapping[str, Iterator[bytes]],
    log: Callable[[str], None],
) -> Made:
    """Build an image from a commit's tar, as `docker build` builds a folder of these files.

    One at a time for each service: see to that. What a killed one left is removed first.

    :param folders: names that the Dockerfile may build from, each with the tar of what is there.
    :raises PolicyFailed: if the Dockerfile or the context is at fault, or more is taken than may be.
    :raises Transient: if the engine or the builder does not do its part.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-build-") as made:
        folder = Path(made) / "context"
        folder.mkdir()
        build_context.unpack(context, folder)
        with _cleared(client, place), _running(client, place):
            _send(client, place.name, WORK, _packed(folder))
            for base in recipe.bases:
                _lay(client, place.name, base)
            for name, tar in folders.items():
                _send(client, place.name, f"{WORK}/{name}", tar, make=True)
            _told(client, place.name, ["rm", "-rf", f"{OUT}/image"])  # of an attempt that was killed
            said = _run(client, place.name, _command(recipe, list(folders)), recipe, log)
            return _made(client, place.name, said)


def _command(recipe: Recipe, folders: Sequence[str]) -> list[str]:
    """Give the client's command. What a Dockerfile's `# syntax=` says is not heeded: the builder's own frontend reads it."""
    context = f"{WORK}/context"
    arguments = {**recipe.arguments, "SOURCE_DATE_EPOCH": str(MADE_AT)}
    options = {
        "filename": recipe.dockerfile,
        "cmdline": "platform",
        "platform": recipe.platform,
        **({"target": recipe.target} if recipe.target else {}),
        **{f"build-arg:{name}": value for name, value in sorted(arguments.items())},
        **{f"label:{name}": value for name, value in sorted(recipe.labels.items())},
    }
    argv = ["buildctl", "build", "--progress", "plain", "--frontend", "dockerfile.v0"]
    argv += ["--local", f"context={context}", "--local", f"dockerfile={context}"]
    for name, value in options.items():
        argv += ["--opt", f"{name}={value}"]
    for at, base in enumerate(recipe.bases):
        argv += ["--opt", f"context:{base.name}=oci-layout://base{at}@{base.digest}"]
        argv += ["--oci-layout", f"base{at}={base.folder}"]
    for name in folders:
        argv += ["--opt", f"context:{name}=local:{name}", "--local", f"{name}={WORK}/{name}"]
    out = f"type=oci,tar=false,dest={OUT}/image,rewrite-timestamp=true"
    return [*argv, "--output", out, "--metadata-file", f"{WORK}/built.json"]


@contextmanager
def _running(client: APIClient, place: Place) -> Iterator[None]:
    """Have the service's builder for as long as it is needed, on a network of its own."""
    _remove(client, place)
    try:
        if place.proxy:
            package_network(client, place.name, place.proxy, place.hosts, place.labels)
        _start(client, place)
        _ready(client, place.name)
        yield
    finally:
        _remove(client, place)


@contextmanager
def _cleared(client: APIClient, place: Place) -> Iterator[None]:
    """Forget what the builder keeps if that has become too much: the next build begins with nothing."""
    try:
        yield
    except PolicyFailed as e:
        if e.code == "image.build-too-large":
            remove_volume(client, place.name)
        raise


def _remove(client: APIClient, place: Place) -> None:
    remove_container(client, place.name)
    remove_network(client, place.name)


def _start(client: APIClient, place: Place) -> None:
    from docker.types import Mount, Ulimit

    network = place.name if place.proxy else "none"
    with explained(f"starting {place.name}"):
        host = client.create_host_config(
            **resolver(network),
            network_mode=network,
            mounts=[
                Mount(STATE, place.name, type="volume"),
                Mount(OUT, place.output, type="volume"),
                Mount(WORK, None, type="volume"),
                Mount("/run/buildkit", None, type="volume"),
                Mount("/tmp", None, type="tmpfs", tmpfs_size=64 << 20, tmpfs_mode=0o1777),
            ],
            read_only=True,
            cap_drop=["ALL"],
            cap_add=[
                "SETUID",
                "SETGID",
            ],  # for newuidmap alone, which gives the builder's namespace its users
            # a user namespace is to be made in here, and the kernel's file systems mounted in it
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            mem_limit=MEMORY,
            memswap_limit=MEMORY,
            nano_cpus=int(CPUS * 1e9),
            pids_limit=PIDS,
            ipc_mode="private",
            ulimits=[Ulimit(name="core", soft=0, hard=0)],
            log_config={"Type": "json-file", "Config": {"max-size": "5m", "max-file": "1"}},
        )
        host |= {"MaskedPaths": [], "ReadonlyPaths": []}
        created = client.create_container(
            place.image,
            name=place.name,
            user=str(UID),
            environment={"SLIPWAY_DISK_GB": str(DISK_GB)},
            labels=dict(place.labels),
            host_config=host,
        )
        client.start(created["Id"])


def _ready(client: APIClient, name: str) -> None:
    """Wait until the builder builds, and knows no earlier build's folder: it takes of one only what differs in size or time."""
    until = time.monotonic() + READY_S
    while True:
        code, said = _told(client, name, _FORGET)
        if code == 0:
            return
        running = code is not None
        if not running or time.monotonic() > until:
            raise Transient(
                f"the builder {name} {'is not ready' if running else 'ended before it was ready'}: {said[-200:]}",
                code="image.builder-not-ready",
                remedy="see whether the engine's machine lets an unprivileged user make user namespaces (docs/security.md)",
                lines=log_tail(client, name, 15),
            )
        time.sleep(0.3)


def _told(client: APIClient, name: str, argv: Sequence[str]) -> tuple[int | None, str]:
    """Run a command in the builder; give its exit code, None if it does not run any more, and what it said."""
    import docker.errors

    with explained(f"asking {name}"):
        try:
            asked = client.exec_create(name, list(argv))["Id"]
            said = client.exec_start(asked).decode(errors="replace").strip()
            return client.exec_inspect(asked)["ExitCode"], said
        except docker.errors.APIError as e:
            if e.status_code not in (404, 409):
                raise
            return None, str(e.explanation)


def _packed(folder: Path) -> IO[bytes]:
    """Give a folder's tar, all of it the builder's."""
    packed = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the last of it
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(folder, "context", filter=_owned)
    packed.seek(0)
    return packed


def _owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = MADE_AT  # as the image will have it: what a step compiles is up to date there, too
    entry.uid = entry.gid = UID
    entry.uname = entry.gname = ""
    return entry


def _send(client: APIClient, name: str, folder: str, tar: Any, *, make: bool = False) -> None:
    """Put files into the builder. :param make: the folder, too."""
    with explained(f"sending files to {name}"):
        if make:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as parent:
                entry = _owned(tarfile.TarInfo(folder.rpartition("/")[2]))
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                parent.addfile(entry)
            client.put_archive(name, folder.rpartition("/")[0], out.getvalue())
        client.put_archive(name, folder, tar)


def _lay(client: APIClient, name: str, base: Base) -> None:
    """Let the builder have a base, which it keeps for the service's next builds."""
    if _told(client, name, ["test", "-e", f"{base.folder}/index.json"])[0] == 0:
        return
    _told(client, name, ["mkdir", "-p", f"{base.folder}.part"])
    with base.layout() as tar:
        _send(client, name, f"{base.folder}.part", tar)
    _told(client, name, ["rm", "-rf", base.folder])
    _told(client, name, ["mv", f"{base.folder}.part", base.folder])


_WARNING = 'time="'
"""What the client's own warnings begin with; a step's words have the step's number before them."""
_SAID_LIMIT = 4_000_000
"""Bytes of a build's output that are looked at, the last: BuildKit keeps 2 MiB of each step."""


def _run(
    client: APIClient,
    name: str,
    argv: Sequence[str],
    recipe: Recipe,
    log: Callable[[str], None],
) -> list[str]:
    """Run the build, told line by line; give its last lines.

    :raises PolicyFailed: :raises Transient: see :func:`build`.
    """
    import docker.errors

    late = threading.Event()

    def end() -> None:
        late.set()
        remove_container(client, name)

    timer = threading.Timer(recipe.timeout_s + 15, end)  # `timeout` runs beside pushed code
    timer.start()
    try:
        with explained(f"building in {name}"):
            asked = client.exec_create(name, ["timeout", "-k", "5", f"{recipe.timeout_s:.0f}", *argv])["Id"]
            said = _logged(client.exec_start(asked, stream=True), log)
            try:
                code = client.exec_inspect(asked)["ExitCode"]
                if code != 0 and _told(client, name, _ALIVE)[0] != 0:
                    wait_exit(client, name, 15)  # it says with which code it ends
                state = client.inspect_container(name)["State"]
            except docker.errors.NotFound:  # it went with its engine
                code, state = None, {"Running": False, "ExitCode": None}
    finally:
        timer.cancel()
    if code != 0:
        raise _why(TIMED_OUT if late.is_set() else code, state, said, recipe)
    return said


def _logged(chunks: Any, log: Callable[[str], None]) -> list[str]:
    """Tell each line as it comes, within the bounds of a container's log; give the last ones."""
    kept, rest = "", ""
    for chunk in bounded(chunks):
        text = chunk.decode(errors="replace")
        kept = (kept + text)[-_SAID_LIMIT:]
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            if line.strip() and not line.startswith(_WARNING):
                log(line.removesuffix("\r"))
    if rest.strip():
        log(rest)
    return [line for line in buildkit.lines(kept) if not line.startswith(_WARNING)]


def _why(code: int | None, state: Mapping[str, Any], said: Sequence[str], recipe: Recipe) -> SlipwayError:
    last, step = said[-15:], buildkit.failed_step(said[-40:])
    if code == TIMED_OUT:
        return PolicyFailed(
            f"the image is not built after {recipe.timeout_s:.0f} s",
            code="image.build-timed-out",
            remedy="make it quicker, or raise image.timeout_s in the catalog",
            lines=last,
        )
    if not state["Running"] and state["ExitCode"] == TOO_LARGE:
        return PolicyFailed(
            f"what is built and kept for this service takes more than {DISK_GB} GB",
            code="image.build-too-large",
            remedy="let the image hold less, or `--mount=type=cache`; what was kept is gone now",
            lines=last,
        )
    if code is None or not state["Running"] or buildkit.fault(said) is buildkit.Fault.ENGINE:
        return Transient(
            f"the builder went away, or has no room: {step or f'exit code {code}'}",
            code="engine.gone-while-building",
            remedy="see that the engine of slipway_engine runs (`docker info`), and the room on its disk (`docker system df`)",
            lines=last,
        )
    killed = f"; a build has {MEMORY} of memory" if "exit code: 137" in step else ""
    return PolicyFailed(
        f"the image does not build: {step or f'exit code {code}'}{killed}",
        code="image.build-failed",
        remedy=f"correct {recipe.dockerfile}; a build reaches the package proxies alone, and only the platform's images",
        lines=last,
    )


_PART_LIMIT = 4_000_000
"""Bytes of a manifest or a configuration that are read."""


def _made(client: APIClient, name: str, said: Sequence[str]) -> Made:
    """Read what was built: each part is what its digest says, or it was not built."""
    built = json.loads(_file(client, name, f"{WORK}/built.json") or b"{}")
    digest = str(built.get("containerimage.digest") or "")
    manifest = _part(client, name, digest)
    if not manifest:
        raise Transient(
            f"the builder {name} names no digest of what it has built",
            code="image.built-without-digest",
            remedy="clear the task",
            lines=said[-5:],
        )
    parts = json.loads(manifest)
    config = json.loads(_part(client, name, parts["config"]["digest"]) or b"{}")
    return Made(digest, tuple(one["digest"] for one in parts["layers"]), config)


def _part(client: APIClient, name: str, digest: str) -> bytes:
    """Give a part of what was built, empty if it is not there, or something else."""
    content = _file(client, name, f"{OUT}/image/{oci_layout.blob(digest)}") if digest else b""
    return content if digest == f"sha256:{hashlib.sha256(content).hexdigest()}" else b""


def _file(client: APIClient, name: str, path: str) -> bytes:
    """Give a small file of the builder's, empty if there is none, or it is larger."""
    import docker.errors

    with explained(f"reading what {name} has built"), tempfile.TemporaryFile() as tar:
        try:
            chunks, told = client.get_archive(name, path)
        except docker.errors.NotFound:
            return b""
        if told["size"] > _PART_LIMIT:
            return b""
        for chunk in chunks:
            tar.write(chunk)
        tar.seek(0)
        with tarfile.open(fileobj=tar) as files:
            member = files.extractfile(path.rpartition("/")[2])
            return member.read() if member else b""
