"""The image: built once for a commit without network, its contents listed, pushed by digest under a tag that never moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup, get_current_context

from slipway.adapters import engine
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.release import artifact_key, given, short
from slipway.stages import connections, links, xcom
from slipway.stages.container import ContainerOperator, toolbox
from slipway.stages.outcome import seconds, stage

if TYPE_CHECKING:
    from slipway.adapters.registry import Image, Registry
    from slipway.catalog import Service

PUSHED = xcom.templated(given.Pushed, "image")
"""The pushed image by its digest (templated)."""


BASE = "org.opencontainers.image.base.name"
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


def image(service: Service) -> TaskGroup:
    """Give the group: build, list the contents, push."""
    plan = service.image

    @stage(
        task_id="build",
        task_display_name="Build the image",
        pool="slipway_engine",
        execution_timeout=seconds(plan.timeout_s),
    )
    def build() -> given.Built:
        ti = get_current_context()["ti"]
        accepted, sources = xcom.take(ti, given.Accepted), xcom.take(ti, given.Workspace)
        commit, images = accepted.commit, accepted.images
        registry, account = connections.registry()
        repository = f"{registry.address}/{plan.repository}"
        base, lock = images["base-python"], service.source.dependencies.runtime
        inputs = artifact_key(commit, base, plan.dockerfile, lock, registry.platform)
        tag = _tag(registry, plan.repository, commit, inputs)
        client = connections.engine_hook().api_client
        built = given.Built(repository=repository, tag=tag, inputs=inputs)
        if there := registry.image(plan.repository, tag):
            digest = published(there, f"{repository}:{tag}", inputs, registry.platform)
            print(f"{repository}:{tag} is in the registry already: {digest}")
            return built
        wheels = engine.image_of_folder(
            client,
            images["toolbox-python"],
            sources.dependencies,
            "/deps",
            "wheels",
            "slipway-wheels",
            sources.dependencies.rsplit("-", 1)[-1],
        )
        source = connections.repository(service.source)
        if plan.dockerfile not in source.files(commit, plan.dockerfile):
            raise PolicyFailed(
                f"{plan.dockerfile} is not in the repository",
                code="source.file-missing",
                remedy="commit it, or see `image.dockerfile`",
            )
        with source.archive(commit) as context:
            id_ = engine.build(
                connections.engine_url(),
                context,
                tag=f"{repository}:{tag}",
                dockerfile=plan.dockerfile,
                arguments={
                    "BASE_PYTHON": base,
                    "WHEELS": wheels,
                    "COMMIT": commit,
                    "BUILD": ti.run_id,
                    "SOURCE_DATE_EPOCH": str(sources.time),
                },
                labels={
                    "org.opencontainers.image.revision": commit,
                    "org.opencontainers.image.title": service.title,
                    BASE: base,
                    INPUTS: inputs,
                    "slipway.tree": sources.tree,
                    "slipway.run": ti.run_id,
                },
                registry=registry.address,
                username=account["username"],
                password=account["password"],
                timeout_s=plan.timeout_s,
                log=print,
            )
        return built.model_copy(update={"id": id_})

    @stage(task_id="push", task_display_name="Push by digest", pool="slipway_engine")
    def push() -> given.Pushed:
        context = get_current_context()
        built = xcom.take(context["ti"], given.Built)
        registry, account = connections.registry()
        repository, tag = built.repository, built.tag
        ledger, run_id = connections.ledger(), context["dag_run"].run_id
        with ledger.exclusive(f"{repository}:{tag}", 240):  # two releases may be of the same commit
            pushed = None
            if there := registry.image(plan.repository, tag):
                print(f"{repository}:{tag} is in the registry already")
            else:
                client = connections.engine_hook().api_client
                # a release of the same commit may have given the tag to what it has built itself
                engine.tag(client, str(built.id), repository, tag)
                pushed = engine.push(client, repository, tag, account["username"], account["password"])
                there = registry.image(plan.repository, tag)
            if there is None:
                raise Transient(
                    f"{repository}:{tag} was pushed, and the registry does not have it",
                    code="image.push-not-kept",
                    remedy="see the registry's log",
                )
            digest = published(there, f"{repository}:{tag}", built.inputs, registry.platform, pushed)
        ledger.update(run_id, image=f"{registry.address}/{plan.repository}", digest=digest)
        ledger.ready(run_id)
        print(f"{repository}:{tag} is {digest}")
        return given.Pushed(image=f"{repository}@{digest}", digest=digest, tag=tag)

    with TaskGroup("image", group_display_name="Image", tooltip="Build, SBOM, push by digest") as group:
        built = build()
        sbom = ContainerOperator(
            task_id="sbom",
            task_display_name="List its contents (SBOM)",
            image=toolbox("toolbox-scan"),
            command=["/opt/slipway/bin/sbom", service.source.dependencies.runtime],
            timeout_s=120,
        )
        pushed = push()
        built >> sbom >> pushed
        pushed.operator.operator_extra_links = (links.ImageLink(), links.ReleaseLink())
    return group
