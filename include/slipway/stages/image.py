"""The image: built once for a commit without network, its contents listed, pushed by digest under a tag that never moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.sdk import TaskGroup, get_current_context

from slipway.adapters import engine
from slipway.errors import PolicyFailed
from slipway.release import short
from slipway.stages import connections, links
from slipway.stages.container import ContainerOperator, toolbox
from slipway.stages.outcome import seconds, stage

if TYPE_CHECKING:
    from slipway.adapters.registry import Registry
    from slipway.catalog import Service

PUSHED = "{{ ti.xcom_pull('image.push')['image'] }}"
"""The pushed image by its digest (templated)."""


BASE = "org.opencontainers.image.base.name"


def _tag(registry: Registry, repository: str, commit: str, base: str) -> str:
    """Give the tag of a commit's image on a base. A tag is never moved: on a newer base the commit gets another one."""
    tag = short(commit)
    there = registry.labels(repository, tag)
    return tag if not there or there.get(BASE) == base else f"{tag}-{base.rpartition(':')[2][:8]}"


def image(service: Service) -> TaskGroup:
    """Give the group: build, list the contents, push."""
    plan = service.image

    @stage(
        task_id="build",
        task_display_name="Build the image",
        pool="slipway_engine",
        execution_timeout=seconds(plan.timeout_s),
    )
    def build() -> dict[str, str]:
        ti = get_current_context()["ti"]
        accepted, sources = ti.xcom_pull("accept"), ti.xcom_pull("checkout")
        commit, images = accepted["commit"], accepted["images"]
        registry, account = connections.registry()
        repository = f"{registry.address}/{plan.repository}"
        tag = _tag(registry, plan.repository, commit, images["base-python"])
        client = connections.engine_hook().api_client
        if digest := registry.digest(plan.repository, tag):
            print(f"{repository}:{tag} is in the registry already: {digest}")
            return {"repository": repository, "tag": tag}
        wheels = engine.image_of_folder(
            client,
            images["toolbox-python"],
            sources["dependencies"],
            "/deps",
            "wheels",
            "slipway-wheels",
            sources["dependencies"].rsplit("-", 1)[-1],
        )
        source = connections.repository(service.source)
        if plan.dockerfile not in source.files(commit, plan.dockerfile):
            raise PolicyFailed(
                f"{plan.dockerfile} is not in the repository", remedy="commit it, or see `image.dockerfile`"
            )
        with source.archive(commit) as context:
            engine.build(
                connections.engine_url(),
                context,
                tag=f"{repository}:{tag}",
                dockerfile=plan.dockerfile,
                arguments={
                    "BASE_PYTHON": images["base-python"],
                    "WHEELS": wheels,
                    "COMMIT": commit,
                    "BUILD": ti.run_id,
                    "SOURCE_DATE_EPOCH": str(sources["time"]),
                },
                labels={
                    "org.opencontainers.image.revision": commit,
                    "org.opencontainers.image.title": service.title,
                    BASE: images["base-python"],
                    "slipway.tree": sources["tree"],
                    "slipway.run": ti.run_id,
                },
                registry=registry.address,
                username=account["username"],
                password=account["password"],
                timeout_s=plan.timeout_s,
                log=print,
            )
        return {"repository": repository, "tag": tag}

    @stage(task_id="push", task_display_name="Push by digest", pool="slipway_engine")
    def push(built: dict[str, str]) -> dict[str, str]:
        registry, account = connections.registry()
        repository, tag = built["repository"], built["tag"]
        ledger, run_id = connections.ledger(), get_current_context()["dag_run"].run_id
        with ledger.exclusive(f"{repository}:{tag}", 240):  # two releases may be of the same commit
            if digest := registry.digest(plan.repository, tag):
                print(f"{repository}:{tag} is in the registry already")
            else:
                client = connections.engine_hook().api_client
                digest = engine.push(client, repository, tag, account["username"], account["password"])
        result = {"image": f"{repository}@{digest}", "digest": digest, "tag": tag}
        ledger.update(run_id, image=f"{registry.address}/{plan.repository}", digest=digest)
        ledger.ready(run_id)
        print(f"{repository}:{tag} is {digest}")
        return result

    with TaskGroup("image", group_display_name="Image", tooltip="Build, SBOM, push by digest") as group:
        built = build()
        sbom = ContainerOperator(
            task_id="sbom",
            task_display_name="List its contents (SBOM)",
            image=toolbox("toolbox-scan"),
            command=["/opt/slipway/bin/sbom", service.source.dependencies.runtime],
            timeout_s=120,
        )
        pushed = push(built)
        built >> sbom >> pushed
        pushed.operator.operator_extra_links = (links.ImageLink(), links.ReleaseLink())
    return group
