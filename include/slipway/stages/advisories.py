"""The scanner with the platform's advisories: its toolbox, and a layer for each ecosystem that has a source in the platform file.

It is kept in the registry, beside the toolbox and under its digest: every worker and engine has the same, a release says by
which it was judged, and a verdict is kept for these very advisories. The nightly refresh renews the layers; a toolbox that is
newer than they are gets them when the next release is accepted.

Two kinds of sources: an export of OSV's (URL or path of a zip), and `packages`, which is what the package proxies have: of Go the
module golang.org/x/vulndb, the Go project's own database; of Debian the lists of its security archive, which apt has seen signed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.adapters import exports
from slipway.adapters.registry import Layer
from slipway.catalog.platform import PACKAGES
from slipway.errors import Permanent, SlipwayError
from slipway.release import advisories as deciding
from slipway.release.gates import SCAN
from slipway.stages.fetching import Job, fetched
from slipway.stages.stage import ENGINE

if TYPE_CHECKING:
    from slipway.adapters.registry import Registry
    from slipway.catalog import Platform
    from slipway.catalog.platform import Packages
    from slipway.release.advisories import Export
    from slipway.stages.world import Engine

TAG = "advisories"
"""The one tag that moves: the newest. Each has a tag with its day, too."""
LABEL, BELOW = "slipway.advisories", "slipway.toolbox"
FOLDER = "opt/slipway/advisories"
KEPT_DAYS = 14
_VULNDB = "golang.org/x/vulndb"
_SUITES = ("bookworm", "trixie")
_DATED = re.compile(r"advisories-(\d{4}-\d\d-\d\d)-[0-9a-f]{12}")


@dataclass(frozen=True)
class Known:
    """The advisories of an ecosystem, as the registry has them.

    :param published: of when they are, ISO 8601.
    """

    ecosystem: str
    source: str
    published: str
    records: int
    layer: Layer


@dataclass(frozen=True)
class Renewed:
    """What was renewed, and what could not be, in words."""

    said: tuple[str, ...]
    failed: tuple[SlipwayError, ...]


def scanner(platform: Platform, registry: Callable[[], Registry]) -> str:
    """Give the scanner's image by digest: with the advisories that there are of the platform's sources.

    :param registry: asked only if the platform names a source.
    """
    toolbox = platform.image(SCAN)
    if not platform.advisories.sources:
        return toolbox
    at = registry()
    repository, digest = _parted(platform, toolbox)
    found = at.image(repository, TAG)
    if found is None:
        print(
            "advisories were never fetched: `slipway advisories update`, or the nightly refresh, fetches them"
        )
        return toolbox
    if found.labels.get(BELOW) != digest:  # the toolbox is newer than they are
        return _made(platform, at, known(platform, at), datetime.now(UTC))
    return f"{platform.registry.address}/{repository}@{found.digest}"


def known(platform: Platform, registry: Registry) -> dict[str, Known]:
    """Give the advisories that the registry has, by ecosystem."""
    found = registry.image(_parted(platform, platform.image(SCAN))[0], TAG)
    said = json.loads(found.labels.get(LABEL, "{}")) if found else {}
    return {name: Known(**{**one, "layer": Layer(**one["layer"])}) for name, one in sorted(said.items())}


def renew(platform: Platform, registry: Registry, engine: Engine, *, login: tuple[str, ...] = ()) -> Renewed:
    """Fetch what each source has now, and put the scanner with it into the registry.

    A source that cannot be had leaves what was there before, which ages until the gates take it no more.

    :param login: who pulls images for the engine; its own login if empty.
    """
    before = known(platform, registry)
    found: dict[str, Known] = {}
    said: list[str] = []
    failed: list[SlipwayError] = []
    for ecosystem, source in sorted(platform.advisories.sources.items()):
        try:
            export = _export(platform, engine, ecosystem, source, login)
            found[ecosystem] = one = _pushed(platform, registry, export)
        except SlipwayError as e:
            failed.append(e)
            print(f"{ecosystem}: {e.message}")
            if ecosystem in before:
                found[ecosystem] = before[ecosystem]
            continue
        is_new = ecosystem not in before or before[ecosystem].layer.digest != one.layer.digest
        said.append(
            f"{ecosystem}: {one.records} advisories of {one.published[:10]} ({one.source})"
            + ("" if is_new else ", as before")
        )
    if found:
        now = datetime.now(UTC)
        current = _made(platform, registry, found, now)
        _forget(platform, registry, now, current.rpartition("@")[2])
    return Renewed(tuple(said), tuple(failed))


def renewing() -> Any:
    """Give the nightly refresh's task that renews them, before any service is looked at."""
    from airflow.sdk import get_current_context

    from slipway.release import given
    from slipway.stages import connections, xcom
    from slipway.stages.outcome import stage

    @stage(
        task_id="advisories",
        task_display_name="Advisories",
        pool=ENGINE,
        execution_timeout=timedelta(seconds=900),
    )
    def advisories() -> given.Cleaned:
        world = connections.Outside()
        with world.ledger().exclusive(f"slipway-{TAG}", 900):
            done = renew(world.platform(), world.registry()[0], world.engine())
        told = given.Cleaned(notes=done.said)
        print("\n".join(done.said))
        if done.failed:
            xcom.give(get_current_context()["ti"], told)  # what was done all the same
            raise done.failed[0]
        return told

    return advisories()


def _parted(platform: Platform, image: str) -> tuple[str, str]:
    """Give repository and digest of an image of the platform's registry."""
    repository, _, digest = image.removeprefix(f"{platform.registry.address}/").partition("@")
    return repository, digest


def _made(platform: Platform, registry: Registry, found: Mapping[str, Known], now: datetime) -> str:
    """Put the toolbox with the layers into the registry; give its reference."""
    repository, digest = _parted(platform, platform.image(SCAN))
    parts = [one for _, one in sorted(found.items())]
    labels = {
        BELOW: digest,
        LABEL: json.dumps({one.ecosystem: asdict(one) for one in parts}, sort_keys=True),
    }
    name = hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:12]
    tags = [f"{TAG}-{now:%Y-%m-%d}-{name}", TAG]
    made = registry.extend(repository, digest, [one.layer for one in parts], tags=tags, labels=labels)
    return f"{platform.registry.address}/{repository}@{made}"


def _forget(platform: Platform, registry: Registry, now: datetime, current: str) -> None:
    """Remove what no release that still runs was accepted with."""
    repository, _ = _parted(platform, platform.image(SCAN))
    for tag in registry.tags(repository):
        if (match := _DATED.fullmatch(tag)) and (
            now - datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        ).days > KEPT_DAYS:
            digest = registry.digest(repository, tag)
            if digest and digest != current:
                registry.delete(repository, digest)


def _pushed(platform: Platform, registry: Registry, export: Export) -> Known:
    """Put an export's files into the registry as a layer. The same content is the same layer."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in sorted(export.files().items()):
            entry = tarfile.TarInfo(f"{FOLDER}/{name}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    diff_id = f"sha256:{hashlib.sha256(out.getvalue()).hexdigest()}"
    with tempfile.TemporaryDirectory(prefix="slipway-advisories-") as folder:
        file = Path(folder) / "layer"
        file.write_bytes(gzip.compress(out.getvalue(), 6, mtime=0))
        digest = registry.layer(_parted(platform, platform.image(SCAN))[0], file)
        size = file.stat().st_size
    layer = Layer(digest, diff_id, size, f"advisories of {export.ecosystem} from {export.source}")
    return Known(export.ecosystem, export.source, export.published.isoformat(), len(export.records), layer)


def _export(
    platform: Platform, engine: Engine, ecosystem: str, source: str, login: tuple[str, ...]
) -> Export:
    """Give what a source has now.

    :raises Transient: if it is not to be had. :raises Permanent: if it is not what it should be.
    """
    try:
        if source == PACKAGES:
            fetch = {"Go": _of_go, "Debian": _of_debian}[ecosystem]
            return fetch(platform, engine, login)
        with exports.opened(source) as file:
            return deciding.export(ecosystem, source, exports.records(file, source))
    except deciding.Malformed as e:
        raise Permanent(
            f"advisories of {ecosystem} from {source} cannot be read: {e}",
            code="advisories.malformed",
            remedy="take the copy anew, or name another source under `advisories.sources` of the platform file",
        ) from e


def _proxies(platform: Platform, ecosystem: str, kind: str) -> Packages:
    """Give the package proxies.

    :raises Permanent: if the platform has none of that kind.
    """
    packages = platform.packages
    if packages is None or not getattr(packages, kind):
        raise Permanent(
            f"advisories of {ecosystem} are to come from the package proxies, and the platform has none of {ecosystem}",
            code="advisories.no-proxy",
            remedy="name them under `packages` of the platform file, or a URL under `advisories.sources`",
        )
    return packages


def _of_go(platform: Platform, engine: Engine, login: tuple[str, ...]) -> Export:
    """Give the Go project's database, by its own module: its hash has been held against Go's checksum database."""
    script = f"go mod download -json {_VULNDB}@latest"
    folder = f"mod/cache/download/{_VULNDB}/@v"
    environment = {"GOMODCACHE": "/out/mod", "GOFLAGS": "-modcacherw", "GOTOOLCHAIN": "local"}
    job = Job("advisories-go", platform.image("toolbox-go"), script, folder, environment)
    files = fetched(_proxies(platform, "Go", "go"), engine, job, login=login)
    infos = {name: json.loads(text) for name, text in files.items() if name.endswith(".info")}
    [(name, info)] = infos.items()
    archive = io.BytesIO(files[name.removesuffix(".info") + ".zip"])
    source = f"{_VULNDB} {info['Version']}"
    records = exports.records(archive, source, below="/data/osv/")
    return deciding.export("Go", source, records, datetime.fromisoformat(info["Time"]))


def _of_debian(platform: Platform, engine: Engine, login: tuple[str, ...]) -> Export:
    """Give what Debian's security archive has, by apt: what it keeps, it has seen signed."""
    packages = _proxies(platform, "Debian", "debian_security")
    sources = "".join(
        f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {packages.debian_security} "
        f"{suite}-security main\n"
        for suite in _SUITES
    )
    options = {
        "Dir::Etc::SourceList": "/out/sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State": "/out/state",
        "Dir::Cache": "/out/cache",
        "Acquire::Languages": "none",
        "Acquire::Check-Valid-Until": "true",
        "APT::Update::Error-Mode": "any",
    }
    given = " ".join(f"-o {key}={value}" for key, value in options.items())
    script = (
        "mkdir -p /out/state/lists/partial /out/cache/archives/partial && printf '%s' \"$SOURCES\" >/out/sources.list "
        f"&& apt-get {given} -q update"
    )
    job = Job("advisories-debian", platform.image(SCAN), script, "state/lists", {"SOURCES": sources})
    files = fetched(packages, engine, job, login=login)
    suites = []
    for name in sorted(files):
        if name.endswith("_InRelease"):
            [lists] = [
                files[one]
                for one in files
                if one.startswith(name.removesuffix("InRelease")) and one.endswith("_Packages")
            ]
            suites.append(deciding.suite(files[name].decode(), lists.decode()))
    return deciding.of_debian(suites)
