"""The image: built once for a commit without network, its contents listed, pushed by digest under a tag that never moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.release import artifact_key, given, short
from slipway.stages import links, xcom
from slipway.stages.container import toolbox
from slipway.stages.gate import GATE
from slipway.stages.stage import ENGINE, Container, Group, Run, Step

if TYPE_CHECKING:
    from slipway.adapters.registry import Image, Registry
    from slipway.catalog import Service
    from slipway.stages.world import Engine

PUSHED = xcom.templated(given.Pushed, "image")
"""The pushed image by its digest (templated)."""


BASE, BASE_NAME = "org.opencontainers.image.base.name", "base-python"
INPUTS = "slipway.inputs"
"""Label with the key of all that the image was made from."""


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
            remedy="let the engine attach no attestations to what it builds; then release a newer commit",
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
    there: Image | None

    @property
    def base(self) -> str:
        """Give the image that it is made on, by its digest."""
        return self.accepted.images[BASE_NAME]


def _asked(run: Run) -> Asked:
    accepted, plan = run.take(given.Accepted), run.service.image
    registry, _ = run.world.registry()
    base, lock = accepted.images[BASE_NAME], run.service.source.dependencies.runtime
    inputs = artifact_key(accepted.commit, base, plan.dockerfile, lock, registry.platform)
    tag = _tag(registry, plan.repository, accepted.commit, inputs)
    return Asked(
        accepted,
        run.take(given.Workspace),
        f"{registry.address}/{plan.repository}",
        tag,
        inputs,
        registry.platform,
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

    :raises PolicyFailed: if the commit has no such Dockerfile, or it cannot be built.
    """
    service, plan, sources, commit = run.service, run.service.image, asked.sources, asked.accepted.commit
    built = given.Built(repository=asked.name, tag=asked.tag, inputs=asked.inputs)
    if asked.there:
        return built
    engine, (registry, account) = run.world.engine(), run.world.registry()
    wheels = _wheels(engine, service, asked)
    source = run.world.repository(service.source)
    if plan.dockerfile not in source.files(commit, plan.dockerfile):
        raise PolicyFailed(
            f"{plan.dockerfile} is not in the repository",
            code="source.file-missing",
            remedy="commit it, or see `image.dockerfile`",
        )
    with source.archive(commit) as context:
        id_ = engine.build(
            context,
            tag=f"{asked.name}:{asked.tag}",
            dockerfile=plan.dockerfile,
            arguments={
                "BASE_PYTHON": asked.base,
                **wheels,
                "COMMIT": commit,
                "BUILD": run.run_id,
                "SOURCE_DATE_EPOCH": str(sources.time),
            },
            labels={
                "org.opencontainers.image.revision": commit,
                "org.opencontainers.image.title": service.title,
                BASE: asked.base,
                INPUTS: asked.inputs,
                "slipway.tree": sources.tree,
                "slipway.run": run.run_id,
            },
            registry=registry.address,
            username=account["username"],
            password=account["password"],
            timeout_s=plan.timeout_s,
            log=print,
        )
    return built.model_copy(update={"id": id_})


def _wheels(engine: Engine, service: Service, asked: Asked) -> dict[str, str]:
    """Give the argument that names the image of a Python service's wheels; other stacks have none."""
    if service.stack != "python":
        return {}
    image, volume = asked.accepted.images[service.toolbox], asked.sources.dependencies
    key = volume.rsplit("-", 1)[-1]
    return {"WHEELS": engine.image_of_folder(image, volume, "/deps", "wheels", "slipway-wheels", key)}


def _push(run: Run, built: given.Built) -> given.Pushed:
    """Push the image under its tag, unless the registry has it; give its digest.

    :raises Transient: if the registry does not have what was pushed. :raises Permanent: if it has another one.
    """
    registry, account = run.world.registry()
    ledger, name, tag = run.world.ledger(), f"{built.repository}:{built.tag}", built.tag
    repository = run.service.image.repository
    with ledger.exclusive(name, 240):  # two releases may be of the same commit
        pushed = None
        if there := registry.image(repository, tag):
            print(f"{name} is in the registry already")
        else:
            engine = run.world.engine()
            # a release of the same commit may have given the tag to what it has built itself
            engine.tag(str(built.id), built.repository, tag)
            pushed = engine.push(built.repository, tag, account["username"], account["password"])
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
    after=(BUILT,),
    needs=(given.Accepted, given.Workspace),
    image=lambda service: toolbox("toolbox-scan"),
    command=lambda service: ["/opt/slipway/bin/sbom", service.source.dependencies.runtime],
    timeout_s=lambda service: 120,
    options=lambda service: {"policy": ""},  # kept as evidence: it is of lock and source, not of the image
)

PUSH = Step(
    id="push",
    title="Push by digest",
    group=IMAGE,
    after=(SBOM,),
    needs=(given.Built,),
    gives=given.Pushed,
    pool=ENGINE,
    read=lambda run: run.take(given.Built),
    act=_push,
    links=(links.ImageLink, links.ReleaseLink),
)
