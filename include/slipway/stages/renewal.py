"""The platform's bases with Debian's updates of the night: for each an image upon it, in its own repository.

The platform file names a base by digest, and nobody but the platform's people writes there. So what renews a base stands beside
it, under a tag that says which digest it renews; a release is accepted with that, and the nightly refresh releases again what
stands on another. It is made as services' images are: by the builder, where the package proxies alone are reached.

Looked at is what something that is deployed stands on, and once for each state of Debian's lists: a base of which nobody makes
use would be pulled and asked for nothing.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway import oci_layout
from slipway.adapters.engine import Base, Place, Recipe
from slipway.errors import Permanent, SlipwayError
from slipway.ledger import refreshes
from slipway.release.bases import copy_of, familiar
from slipway.release.gates import SCAN
from slipway.stages import advisories
from slipway.stages.fetching import Job, fetched
from slipway.stages.image import BASES
from slipway.stages.stage import ALWAYS, ENGINE
from slipway.stages.standing import BASE_PYTHON

if TYPE_CHECKING:
    from slipway.adapters.registry import Registry
    from slipway.catalog import Platform, Service
    from slipway.catalog.platform import Packages
    from slipway.stages.world import Engine, World

BUILDER = "image-builder"
RENEWS = "slipway.renews"
"""Label: the digest of the base that an image renews."""
NAME, OUTPUT = "slipway-builder-bases", "slipway-image-bases"
LOOKED, LOOKED_AT = "bases", "slipway.bases-looked-at"
"""The tag, in the repository of the scanner, and the label of what was looked at: bases, with the date of Debian's lists."""
BUILD_S = 300
NO_DEBIAN = "none"
_INSTALLED = re.compile(r"^Inst (\S+) (?:\[(\S+)\] )?\((\S+)", re.MULTILINE)
_SOURCES = (
    ". /etc/os-release; suite=$VERSION_CODENAME; by=/usr/share/keyrings/debian-archive-keyring.gpg; "
    'for line in "{debian} $suite" "{debian} $suite-updates" "{security} $suite-security"; '
    'do echo "deb [signed-by=$by] $line main"; done >{at}/sources.list; '
    'apt="apt-get -q -o Dir::Etc::SourceList={at}/sources.list -o Dir::Etc::SourceParts=/dev/null '
    '-o Acquire::Languages=none -o APT::Update::Error-Mode=any"; '
)


@dataclass(frozen=True)
class Upgrade:
    """A package that Debian has a newer version of.

    :param old: empty if it is new.
    """

    package: str
    old: str
    new: str


@dataclass(frozen=True)
class Renewed:
    """What was found of each base, and what could not be renewed, in words."""

    said: tuple[str, ...]
    failed: tuple[SlipwayError, ...] = ()


def tonight(platform: Platform, registry: Callable[[], Registry]) -> dict[str, str]:
    """Give the platform's bases by public name, and `base-python`: each as it was renewed last.

    :param registry: asked only if the platform can renew any.
    """
    named = _named(platform)
    if not _can_renew(platform):
        return named
    refs, at = sorted(set(named.values())), registry()
    with ThreadPoolExecutor(8) as asking:
        found = dict(zip(refs, asking.map(partial(_current, platform, at), refs), strict=True))
    return {name: found[ref] for name, ref in named.items()}


def in_use(world: World, services: Sequence[Service]) -> dict[str, list[str]]:
    """Give the bases that what is deployed stands on, each with the names that its Dockerfiles have for it."""
    platform, registry = world.platform(), world.registry()[0]
    named, found = _named(platform), dict[str, set[str]]()
    for service in services:
        release = refreshes.active(world.ledger(), service.service, platform.environment)
        image = (
            registry.image(service.image.repository, release.digest) if release and release.digest else None
        )
        for name in json.loads(image.labels.get(BASES, "{}")) if image else ():
            if ref := copy_of(name, named) or copy_of(familiar(name), named):
                found.setdefault(ref, set()).add(name)
    return {ref: sorted(names) for ref, names in sorted(found.items())}


def renew(world: World, services: Sequence[Service]) -> Renewed:
    """Renew each base that something stands on and that Debian has updates for."""
    platform, registry = world.platform(), world.registry()[0]
    if platform.packages is None or not _can_renew(platform):
        return Renewed(("there are no package proxies of Debian: nothing renews the bases",))
    lists = known.published if (known := advisories.known(platform, registry).get("Debian")) else None
    looked = _looked(platform, registry)
    said: list[str] = []
    failed: list[SlipwayError] = []
    for ref, names in in_use(world, services).items():
        if lists and looked.get(ref) == lists:
            continue
        try:
            if told := _renewed(world, platform.packages, registry, ref):
                said.append(f"{', '.join(names)}: {told}")
            if lists:
                looked[ref] = lists
        except SlipwayError as e:
            failed.append(e)
            said.append(f"{', '.join(names)}: not renewed: {e.message}")
    if looked != _looked(platform, registry):
        repository, digest = _parted(platform, platform.image(SCAN))
        label = json.dumps(looked, sort_keys=True)
        registry.extend(repository, digest, [], tags=[LOOKED], labels={LOOKED_AT: label})
    return Renewed(tuple(said or ["the bases have what Debian has"]), tuple(failed))


def _looked(platform: Platform, registry: Registry) -> dict[str, str]:
    found = registry.image(_parted(platform, platform.image(SCAN))[0], LOOKED)
    return dict(json.loads(found.labels.get(LOOKED_AT, "{}"))) if found else {}


def _renewed(world: World, packages: Packages, registry: Registry, ref: str) -> str:
    """Renew a base if need be, and say what was done; nothing if nothing was."""
    waiting = _waiting(packages, world.engine(), _current(world.platform(), registry, ref))
    if waiting is None:
        return "is no Debian: it is renewed where it comes from"
    if not waiting:
        return ""
    first = ", ".join(f"{one.package} {one.old} -> {one.new}" for one in waiting[:3])
    more = ", …" if len(waiting) > 3 else ""
    made = _made(world, packages, registry, ref)
    return f"{len(waiting)} packages renewed ({first}{more}), is {made[:19]} now"


def upgrades(simulated: str) -> list[Upgrade]:
    """Read what apt says that it would install."""
    return [Upgrade(*one) for one in _INSTALLED.findall(simulated)]


def renewing(services: Sequence[Service]) -> Any:
    """Give the nightly refresh's task that renews the bases, after the advisories and before any service is looked at."""
    from airflow.sdk import get_current_context

    from slipway.release import given
    from slipway.stages import connections, xcom
    from slipway.stages.outcome import stage

    @stage(
        task_id="bases",
        task_display_name="Bases",
        trigger_rule=ALWAYS,
        pool=ENGINE,
        execution_timeout=timedelta(seconds=900),
    )
    def bases() -> given.Cleaned:
        world = connections.Outside()
        with world.ledger().exclusive(NAME, 900):
            done = renew(world, services)
        told = given.Cleaned(notes=done.said)
        print("\n".join(done.said))
        if done.failed:
            xcom.give(get_current_context()["ti"], told)  # what was done all the same
            raise done.failed[0]
        return told

    return bases()


def _named(platform: Platform) -> dict[str, str]:
    return {BASE_PYTHON: platform.image(BASE_PYTHON), **platform.base_images}


def _can_renew(platform: Platform) -> bool:
    return bool(platform.packages and platform.packages.debian and platform.packages.debian_security)


def _parted(platform: Platform, ref: str) -> tuple[str, str]:
    repository, _, digest = ref.removeprefix(f"{platform.registry.address}/").partition("@")
    return repository, digest


def _tag(digest: str) -> str:
    return f"renews-{digest.rpartition(':')[2][:24]}"


def _current(platform: Platform, registry: Registry, ref: str) -> str:
    """Give what a base is tonight: what renews it, or itself."""
    repository, digest = _parted(platform, ref)
    found = registry.digest(repository, _tag(digest))
    return f"{platform.registry.address}/{repository}@{found}" if found else ref


def _waiting(packages: Packages, engine: Engine, image: str) -> list[Upgrade] | None:
    """Give what Debian has newer than an image; None if that is no Debian."""
    script = (
        f"mkdir -p /out/said; command -v apt-get >/dev/null || {{ echo >/out/said/{NO_DEBIAN}; exit 0; }}; "
        + _SOURCES.format(debian=packages.debian, security=packages.debian_security, at="/out")
        + 'mkdir -p /out/lists/partial /out/cache/archives/partial; apt="$apt -o Dir::State::Lists=/out/lists '
        '-o Dir::Cache=/out/cache -o Debug::NoLocking=1"; '
        "$apt update && $apt -s --with-new-pkgs upgrade >/out/said/simulated"
    )
    files = fetched(packages, engine, Job("bases", image, script, "said"))
    return None if NO_DEBIAN in files else upgrades(files["simulated"].decode(errors="replace"))


def _made(world: World, packages: Packages, registry: Registry, ref: str) -> str:
    """Build what renews a base, and put it into the registry; give its digest.

    :raises Permanent: if the registry has not the base.
    """
    platform, engine = world.platform(), world.engine()
    repository, digest = _parted(platform, ref)
    base = registry.image(repository, digest)
    if base is None:
        raise Permanent(
            f"the registry has no {ref}, which the platform file names as a base",
            code="bases.not-there",
            remedy="put it back (`slipway bases update`), or take it out of `base_images`",
        )
    builder = platform.image(BUILDER)
    engine.ensure_image(builder)
    place = Place(
        name=NAME,
        image=builder,
        output=OUTPUT,
        proxy=packages.container,
        hosts=packages.hosts,
        labels={"slipway": "builder"},
    )
    recipe = Recipe(
        dockerfile="Dockerfile",
        target=None,
        platform=registry.platform,
        # what the builder has kept of another night is not Debian's of now
        arguments={"NIGHT": f"{world.now():%Y-%m-%dT%H:%M}"},
        labels={RENEWS: digest},
        bases=[Base("base", base.digest, partial(registry.layout, repository, base.digest))],
        timeout_s=BUILD_S,
    )
    try:
        context = _context({"Dockerfile": dockerfile(packages, base.user)})
        made = engine.build(place, context, recipe, folders={}, log=print)
        with tempfile.TemporaryDirectory(prefix="slipway-base-") as folder, tempfile.TemporaryFile() as tar:
            for chunk in engine.archive(builder, OUTPUT, "/out", "image"):
                tar.write(chunk)
            tar.seek(0)
            layout = oci_layout.unpack(tar, Path(folder), made.digest)
            return registry.push(repository, _tag(digest), layout)
    finally:
        engine.remove_volume(OUTPUT)


def dockerfile(packages: Packages, user: str) -> str:
    """Give what renews a base. :param user: as whom that runs; empty is root."""
    sources = _SOURCES.format(debian=packages.debian, security=packages.debian_security, at="/tmp")
    return (
        "FROM base\nARG NIGHT\nUSER root\n"
        f"RUN {sources} export DEBIAN_FRONTEND=noninteractive; $apt update && $apt --with-new-pkgs -y "
        "-o APT::Install-Recommends=false -o Dpkg::Use-Pty=0 upgrade && rm -rf /tmp/sources.list /var/lib/apt/lists/* "
        "/var/cache/apt/* /var/log/apt /var/log/dpkg.log /var/cache/debconf/*-old\n"
        f"USER {user or 'root'}\n"
    )


def _context(files: Mapping[str, str]) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            tar.addfile(entry, io.BytesIO(text.encode()))
    out.seek(0)
    return out
