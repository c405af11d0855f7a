"""The image: built once for a commit, its contents listed and judged, pushed by digest under a tag that never moves."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from slipway import build_context, oci_layout
from slipway.adapters.engine import Base, Place, Recipe
from slipway.errors import Permanent, Transient
from slipway.release import artifact_key, given, short
from slipway.release.gates import SCANNER
from slipway.stages import links, xcom
from slipway.stages import standing as standing_
from slipway.stages.container import toolbox
from slipway.stages.gate import GATE
from slipway.stages.scan import advised
from slipway.stages.stage import ENGINE, Container, Group, Run, Step
from slipway.stages.standing import WHEELS, Standing

if TYPE_CHECKING:
    from slipway.adapters.engine import Made
    from slipway.adapters.registry import Image, Registry
    from slipway.catalog import Service
    from slipway.oci_layout import Layout

PUSHED = xcom.templated(given.Pushed, "image")
"""The pushed image by its digest (templated)."""


INPUTS, BASES = "slipway.inputs", "slipway.bases"
"""Labels: the key of all that the image was made from; the images that it stands on, by their names."""

BUILDER = "image-builder"


def _tag(registry: Registry, repository: str, commit: str, inputs: str) -> str:
    """Give the tag of a commit's image. A tag is never moved: of other inputs, a newer base say, the commit gets another one."""
    tag = short(commit)
    there = registry.image(repository, tag)
    ours = there is None or (there.is_single and there.labels.get(INPUTS) == inputs)
    return tag if ours else f"{tag}-{inputs[:8]}"


def published(image: Image, name: str, inputs: str, platform: str, digest: str | None = None) -> str:
    """Give the digest of an image that the registry has under ``name``, if it is what this release builds.

    :param digest: the one that the engine has pushed; None if it was there already.
    :raises Permanent: if it is another one, or an index: what is pulled would then be chosen by whoever pulls.
    """
    if not image.is_single:
        raise Permanent(
            f"{name} is an index of several manifests, not the image itself",
            code="image.is-index",
            remedy="see who else pushes to that repository; release a newer commit",
        )
    if not image.runs_on(platform):
        raise Permanent(
            f"{name} is an image for {image.platform}, and the cluster runs {platform}",
            code="image.platform-differs",
            remedy="build on an engine of that platform, or correct `registry.image_platform` in the platform file",
        )
    if image.labels.get(INPUTS) != inputs or digest not in (None, image.digest):
        raise Permanent(
            f"{name} is {image.digest}, and not what this release has built",
            code="image.digest-differs",
            remedy="see who else pushes to that repository; release a newer commit",
        )
    return image.digest


IMAGE = Group(id="image", title="Image", tooltip="Build, SBOM, push by digest", after=(GATE,))


@dataclass(frozen=True)
class Asked:
    """What an image is made from, and whether the registry has it.

    :param there: the image that the registry has under its tag.
    """

    accepted: given.Accepted
    sources: given.Workspace
    name: str
    tag: str
    inputs: str
    platform: str
    standing: Standing
    there: Image | None


def _asked(run: Run) -> Asked:
    accepted, plan = run.take(given.Accepted), run.service.image
    registry, _ = run.world.registry()
    standing = standing_.of(run.world, run.service, accepted)
    lock = run.service.source.dependencies.runtime if standing.wheels else ""
    how = json.dumps(
        [
            plan.dockerfile,
            plan.target,
            sorted(plan.arguments.items()),
            lock,
            *filter(None, [standing.written]),
        ]
    )
    inputs = artifact_key(accepted.commit, standing.images, how, registry.platform)
    tag = _tag(registry, plan.repository, accepted.commit, inputs)
    return Asked(
        accepted,
        run.take(given.Workspace),
        f"{registry.address}/{plan.repository}",
        tag,
        inputs,
        registry.platform,
        standing,
        registry.image(plan.repository, tag),
    )


def _is_there(_service: Service, asked: Asked) -> Asked:
    """See that what the registry has is what this release would build.

    :raises Permanent: if it is not.
    """
    if asked.there:
        name = f"{asked.name}:{asked.tag}"
        digest = published(asked.there, name, asked.inputs, asked.platform)
        print(f"{name} is in the registry already: {digest}")
    return asked


def _build(run: Run, asked: Asked) -> given.Built:
    """Build the image, unless the registry has it.

    :raises PolicyFailed: if it cannot be built.
    """
    service, plan, sources, commit = run.service, run.service.image, asked.sources, asked.accepted.commit
    built = given.Built(repository=asked.name, tag=asked.tag, inputs=asked.inputs)
    if asked.there:
        return built
    world, engine, platform = run.world, run.world.engine(), run.world.platform()
    image, registry = asked.accepted.images[BUILDER], world.registry()[0]
    engine.ensure_image(image)
    name, volume = f"slipway-builder-{service.service}", f"slipway-image-{asked.inputs}"
    place = Place(
        name=name,
        image=image,
        output=volume,
        proxy=platform.packages.container if platform.packages else None,
        hosts=platform.packages.hosts if platform.packages else (),
        labels={"slipway": "builder", "slipway.run": run.run_id},
    )
    bases = [_base(registry, one, ref) for one, ref in sorted(asked.standing.images.items())]
    recipe = Recipe(
        dockerfile=plan.dockerfile,
        target=plan.target,
        platform=asked.platform,
        arguments={**asked.standing.arguments, "COMMIT": commit, "BUILD": run.run_id},
        labels={
            "org.opencontainers.image.created": f"{datetime.fromtimestamp(sources.time, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "org.opencontainers.image.revision": commit,
            "org.opencontainers.image.title": service.title,
            BASES: json.dumps(asked.standing.labelled(), sort_keys=True),
            INPUTS: asked.inputs,
            "slipway.tree": sources.tree,
            "slipway.run": run.run_id,
        },
        bases=[base for base, _ in bases],
        timeout_s=plan.timeout_s,
    )
    with (
        # it keeps layers in one volume, which one builder at a time may have
        world.ledger().exclusive(name, plan.timeout_s),
        world.repository(service.source).archive(commit) as context,
    ):
        made = engine.build(
            place,
            build_context.with_file(context, plan.dockerfile, asked.standing.written)
            if asked.standing.written
            else context,
            recipe,
            folders={WHEELS: engine.archive(image, sources.dependencies, "/deps", "wheels")}
            if asked.standing.wheels
            else {},
            log=print,
        )
    layers = " ".join(sorted({layer for _, found in bases for layer in found.layers}))
    contents = contents_of(made, recipe.labels, {commit: "COMMIT", run.run_id: "BUILD"})
    return built.model_copy(
        update={"digest": made.digest, "contents": contents, "volume": volume, "base_layers": layers}
    )


def contents_of(made: Made, labels: Collection[str], names: Mapping[str, str]) -> str:
    """Give a key of what an image is made of: the same for two commits' images that only say another commit.

    :param labels: names of those that say where it is from. :param names: what says it elsewhere, each with a word for it.
    """
    config = made.config.get("config") or {}
    kept = {name: text for name, text in (config.get("Labels") or {}).items() if name not in labels}
    text = json.dumps({**made.config, "config": {**config, "Labels": kept}}, sort_keys=True)
    for found, word in names.items():
        text = text.replace(found, word)
    return hashlib.sha256(json.dumps([made.layers, text]).encode()).hexdigest()


def _base(registry: Registry, name: str, ref: str) -> tuple[Base, Image]:
    """Give a base as the registry has it, for the builder and for us.

    :raises Permanent: if it has not.
    """
    repository, _, digest = ref.removeprefix(f"{registry.address}/").partition("@")
    found = registry.image(repository, digest)
    if found is None:
        raise Permanent(
            f"the registry has no {ref}, which {name} stands for",
            code="image.base-unavailable",
            remedy="put it back (`slipway toolboxes build`), or correct `base_images` in the platform file",
        )
    return Base(name, found.digest, partial(registry.layout, repository, found.digest)), found


def _unpacked(run: Run, volume: str, digest: str, folder: str) -> Layout:
    """Give the built image, out of its volume."""
    image = run.take(given.Accepted).images[BUILDER]
    with tempfile.TemporaryFile() as tar:
        for chunk in run.world.engine().archive(image, volume, "/out", "image"):
            tar.write(chunk)
        tar.seek(0)
        return oci_layout.unpack(tar, Path(folder), digest)


def _push(run: Run, built: given.Built) -> given.Pushed:
    """Push the image under its tag, unless the registry has it; give its digest.

    :raises Transient: if the registry does not have what was pushed. :raises Permanent: if it has another one.
    """
    registry, _ = run.world.registry()
    ledger, name, tag = run.world.ledger(), f"{built.repository}:{built.tag}", built.tag
    repository = run.service.image.repository
    with (
        ledger.exclusive(name, 240),  # two releases may be of the same commit
        TemporaryDirectory(prefix="slipway-image-") as folder,
    ):
        pushed = None
        if there := registry.image(repository, tag):
            print(f"{name} is in the registry already")
        else:
            if not built.volume or not built.digest:
                raise Permanent(
                    f"{name} was in the registry when it was to be built, and is not any more",
                    code="image.removed-meanwhile",
                    remedy="clear image.build",
                )
            pushed = registry.push(repository, tag, _unpacked(run, built.volume, built.digest, folder))
            there = registry.image(repository, tag)
        if there is None:
            raise Transient(
                f"{name} was pushed, and the registry does not have it",
                code="image.push-not-kept",
                remedy="see the registry's log",
            )
        digest = published(there, name, built.inputs, registry.platform, pushed)
    ledger.update(run.run_id, image=built.repository, digest=digest)
    ledger.ready(run.run_id)
    if built.volume:
        run.world.engine().remove_volume(built.volume)
    print(f"{name} is {digest}")
    return given.Pushed(image=f"{built.repository}@{digest}", digest=digest, tag=tag)


BUILT = Step(
    id="build",
    title="Build the image",
    group=IMAGE,
    needs=(given.Accepted, given.Workspace),
    gives=given.Built,
    pool=ENGINE,
    timeout_s=lambda service: service.image.timeout_s,
    read=_asked,
    decide=_is_there,
    act=_build,
)

SBOM = Container(
    id="sbom",
    title="List its contents (SBOM)",
    group=IMAGE,
    needs=(given.Accepted, given.Workspace),
    image=lambda service: toolbox("toolbox-scan"),
    command=lambda service: ["/opt/slipway/bin/sbom", service.source.dependencies.runtime],
    timeout_s=lambda service: 120,
    options=lambda service: {"policy": ""},  # kept as evidence: it is of lock and source, not of the image
)

SCANNED = Container(
    id="scan",
    title="Scan what was built",
    group=IMAGE,
    after=(BUILT,),
    needs=(given.Accepted, given.Workspace, given.Built),
    image=lambda service: toolbox(SCANNER),
    command=lambda service: ["/opt/slipway/bin/image", service.source.dependencies.runtime],
    timeout_s=lambda service: service.image.scan.timeout_s,
    rules=lambda service: service.image.scan,
    options=lambda service: {
        "policy": xcom.templated(given.Built, "contents"),
        "daily": True,
        "environment": {
            **advised(),
            "SLIPWAY_BASE_LAYERS": xcom.templated(given.Built, "base_layers"),
        },
        "built": xcom.templated(given.Built, "volume"),
    },
)

PUSH = Step(
    id="push",
    title="Push by digest",
    group=IMAGE,
    after=(BUILT, SBOM, SCANNED),
    needs=(given.Accepted, given.Built),
    gives=given.Pushed,
    pool=ENGINE,
    read=lambda run: run.take(given.Built),
    act=_push,
    links=(links.ImageLink, links.ReleaseLink),
)
