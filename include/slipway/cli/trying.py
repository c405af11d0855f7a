"""`slipway try`: the gates of a working copy, on the engine, without a release."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from slipway.catalog import Platform, Service
    from slipway.release.gates import Gate

FETCH_S = 600
LABELS = {"slipway": "try"}
PASSED, FAILED = 0, 1


@click.command("try")
@click.argument("service")
@click.option("--stage", "stages", metavar="STAGE", multiple=True, help="Only this one; may be repeated.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="The working copy: a clone of the service's repository.  [default: here]",
)
@click.pass_context
def try_(ctx: click.Context, service: str, stages: tuple[str, ...], folder: Path) -> None:
    """Run the gates of SERVICE on a working copy, as a release would run them, before it is pushed.

    What git would commit is tried, committed or not. The container engine is that of docker's client (DOCKER_HOST), the images
    are those of SLIPWAY_PLATFORM. Gates that need a database or the running service beside them are left to a release. Exit
    codes: 0 all passed, 1 one failed, 3 one could not be evaluated.
    """
    from slipway.catalog import catalog_directory, load_platform, load_service
    from slipway.release import gates

    entry, platform = load_service(catalog_directory() / f"{service}.yaml"), load_platform()
    chosen = _chosen(
        entry, gates.alone(entry, platform.advisories.max_age_days, platform.advisories.of), stages
    )
    if told := _differs(entry, folder):
        click.echo(told, err=True)
    with _engine() as client, _prepared(client, entry, platform, folder) as (source, dependencies):
        needs = any(one.toolbox not in ("toolbox-scan", gates.SCANNER) for one in chosen)
        codes = [_fetched(client, entry, platform, source, dependencies)] if needs else []
        if not any(codes):
            codes += [_ran(client, one, platform, source, dependencies) for one in chosen]
    ctx.exit(3 if any(one not in (PASSED, FAILED) for one in codes) else max(codes))


def _differs(service: Service, folder: Path) -> str:
    """Give in words that the image runs another version of its language than the gates."""
    from slipway.release import bases, runtimes

    plan = service.image
    if not (dockerfile := folder / plan.dockerfile).is_file():
        return ""
    text = dockerfile.read_text(encoding="utf-8", errors="replace")
    files = {one: path.read_bytes() for one in runtimes.FILES if (path := folder / one).is_file()}
    names = [bases.familiar(one.name) for one in bases.named(text, plan.arguments)]
    return runtimes.told(service.stack, bases.last(text, plan.arguments, plan.target), names, files)


def _chosen(service: Service, all_: Sequence[Gate], stages: Sequence[str]) -> list[Gate]:
    """Give the gates that are asked for.

    :raises CatalogError: if one is not among them.
    """
    from slipway.errors import CatalogError

    known = {one.stage: one for one in all_}
    for name in stages:
        if name not in known:
            why = service.left_out.get(name)
            raise CatalogError(
                f"`{name}` is left out: {why}" if why else f"`{name}` is no stage that can be tried.",
                code="try.stage-unknown",
                remedy=f"There are: {', '.join(known)}.",
            )
    return [known[one] for one in stages] or list(all_)


@contextmanager
def _engine() -> Iterator[Any]:
    import docker

    from slipway.adapters import engine
    from slipway.toolboxes.engine import address

    with engine.explained("asking it"):
        client = docker.APIClient(base_url=address(), version="auto", timeout=FETCH_S)
    try:
        yield client
    finally:
        client.close()


@contextmanager
def _prepared(client: Any, service: Service, platform: Platform, folder: Path) -> Iterator[tuple[str, str]]:
    """Give the volumes of the source and of the dependencies; the first is removed in the end."""
    from slipway.adapters import engine
    from slipway.adapters.engine import Stored
    from slipway.release import sources

    image, folder = platform.image(service.toolbox), folder / service.source.folder
    named = [service.source.dependencies.runtime, service.source.dependencies.development]
    locks = sources.lock_files(named, listed(folder))
    read = [path.read_bytes() for one in locks if (path := folder / one).is_file()]
    dependencies = f"slipway-deps-try-{sources.dependencies_key(image, read, platform.packages)}"
    source = f"slipway-src-try-{uuid.uuid4().hex}"
    engine.ensure_image(client, image, *_account(platform))
    if not engine.has_file(client, image, dependencies, "/deps", ".complete"):
        engine.prepare_volume(client, image, dependencies, "/deps", LABELS)
    try:
        with packed(folder) as tar:
            engine.fill_volume(client, image, source, "/workspace", tar)
        yield source, dependencies
    finally:
        from datetime import UTC, datetime

        engine.remove(client, Stored("volume", source, datetime.now(UTC)))


def _account(platform: Platform) -> tuple[str, str] | tuple[()]:
    """Give who pulls, if the sandbox has left that; docker's own login otherwise."""
    from slipway.cli.settings import credential, credential_path

    return ("pull", credential("registry-pull")) if credential_path("registry-pull").is_file() else ()


def listed(folder: Path) -> list[str]:
    """Give the paths of what git would commit of a working copy, sorted.

    :raises CatalogError: if the folder is no working copy.
    """
    from slipway.errors import CatalogError, SlipwayError
    from slipway.process import run

    asked = [
        "git",
        "-C",
        str(folder),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--deduplicate",
    ]
    try:
        found = run(asked, timeout_s=60, keep=50_000_000)
    except SlipwayError as error:
        raise CatalogError(
            f"{folder.resolve()} is no working copy of git: {error.message}",
            code="try.no-working-copy",
            remedy="Clone the service's repository, and name the folder by --folder.",
        ) from error
    return sorted(filter(None, found.decode(errors="surrogateescape").split("\0")))


@contextmanager
def packed(folder: Path) -> Iterator[IO[bytes]]:
    """Give what git would commit of a working copy, as a tar.

    :raises CatalogError: if the folder is no working copy.
    """
    with tempfile.TemporaryFile() as spool:
        with tarfile.open(fileobj=spool, mode="w") as tar:
            for name in listed(folder):
                path = folder / name
                if not path.is_symlink() and not path.is_file():
                    continue  # deleted, or a submodule
                info = tar.gettarinfo(path, f"src/{name}")
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                info.mode = 0o755 if info.mode & 0o100 else 0o644
                with path.open("rb") if info.isreg() else io.BytesIO() as content:
                    tar.addfile(info, content if info.isreg() else None)
        spool.seek(0)
        yield spool


def _fetched(client: Any, service: Service, platform: Platform, source: str, dependencies: str) -> int:
    """Fetch what the locks name; at once if that is there already. Gives the exit code."""
    from slipway.release import gates

    packages = platform.packages
    # as in a release: what is fetched may run where nothing but the proxies is reached
    reached = (
        {**packages.environment(), gates.BUILDS: "1"} if packages else platform.package_index.environment
    )
    gate = gates.Gate("dependencies", service.toolbox, gates.fetch(service), FETCH_S, reached)
    with _joined(client, platform, f"{dependencies}-fetch") as network:
        return _ran(client, gate, platform, source, dependencies, fetches=network)


@contextmanager
def _joined(client: Any, platform: Platform, name: str) -> Iterator[str]:
    """Give the network that packages are fetched on: a private one with the proxies; the machine's own if there are none."""
    from slipway.adapters import engine

    if not (packages := platform.packages):
        yield "host"
        return
    engine.remove_network(client, name)
    try:
        engine.package_network(client, name, packages.container, packages.hosts, LABELS)
        yield name
    finally:
        engine.remove_network(client, name)


def _image(platform: Platform, gate: Gate) -> str:
    from slipway.cli.advisories import registry
    from slipway.release import gates
    from slipway.stages.advisories import scanner

    if gate.toolbox != gates.SCANNER:
        return platform.image(gate.toolbox)
    return scanner(platform, lambda: registry(platform, *_account(platform)))


def _ran(
    client: Any, gate: Gate, platform: Platform, source: str, dependencies: str, *, fetches: str = ""
) -> int:
    """Run a gate within its bounds, show what it says, and give its exit code.

    :param fetches: the network of what fetches the dependencies; no other gate has one.
    """
    from docker.types import Mount

    from slipway.adapters import engine

    image, volume = _image(platform, gate), platform.package_index.ca_volume
    engine.ensure_image(client, image, *_account(platform))
    mounts = [
        Mount("/workspace", source, type="volume", read_only=True),
        Mount("/deps", dependencies, type="volume", read_only=not fetches),
        Mount("/out", None, type="volume"),
    ]
    if fetches == "host" and volume:
        mounts.append(Mount("/run/slipway-ca", volume, type="volume", read_only=True))
    name = f"slipway-try-{hashlib.sha256((source + gate.stage).encode()).hexdigest()[:20]}"
    click.echo(click.style(f"== {gate.stage}", bold=True))
    began = time.monotonic()
    try:
        engine.start(
            client,
            name,
            image,
            network_mode=fetches or "none",
            command=["timeout", "--kill-after=10", str(gate.timeout_s), *gate.command],
            environment={"HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1", **gate.environment},
            mounts=mounts,
            tmpfs=engine.SCRATCH,
            memory="1g",
            cpus=2.0,
            working_dir="/workspace/src",
            labels=LABELS,
        )
        with engine.explained(f"reading the log of {name}"):
            for chunk in engine.bounded(client.logs(name, stream=True, follow=True)):
                click.echo(chunk, nl=False)
        code = engine.wait_exit(client, name, gate.timeout_s + 60)
    finally:
        engine.remove_container(client, name)
    how = {PASSED: "passed", FAILED: "failed", 124: "took too long"}.get(code, "could not be evaluated")
    click.echo(f"== {gate.stage} {how} in {time.monotonic() - began:.1f} s")
    return FAILED if code == 124 else code
