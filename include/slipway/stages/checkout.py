"""Check out the commit into a volume named after its tree, and fetch what its lock files name into one named after them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed
from slipway.release import Outcome, bases, gates, given, sources
from slipway.stages import links, standing
from slipway.stages.accept import ACCEPT
from slipway.stages.container import toolbox
from slipway.stages.stage import Container, Run, Step

if TYPE_CHECKING:
    from slipway.adapters.git import Repository
    from slipway.catalog import Service
    from slipway.stages.world import World

LABELS = {"slipway": "workspace"}


def workspace(world: World, service: Service, hash_: str, images: Mapping[str, str]) -> given.Workspace:
    """Fill the volume of a commit's sources, make that of its dependencies if need be, and give what is in them.

    :param images: the toolboxes, by name.
    :raises PolicyFailed: if the commit or one of the lock files is not there, or the commit holds what cannot be brought.
    """
    repository = world.repository(service.source)
    commit = repository.commit(hash_)
    entries, changelog = repository.tree(commit.hash), _changelog(service)
    links = {one.path: one.target for one in entries if one.mode == sources.LINK}
    # gates find these in a folder, where links are followed, and others in git or in the image: it must be the same file
    sources.refuse([one for path in _read(service) if (one := sources.through_link(path, links))])
    sources.refuse(sources.below(changelog, entries) if changelog else [])
    paths = [one.path for one in entries]
    locks = [
        _lock(repository, commit.hash, *one) for one in sources.lock_files(_locks(service), paths).items()
    ]
    image, engine = images.get(service.toolbox) or world.platform().image(service.toolbox), world.engine()
    key = sources.dependencies_key(image, locks, world.platform().packages)
    engine.ensure_image(image)
    volume, dependencies = sources.source_volume(commit.tree), f"slipway-deps-{key}"
    ledger = world.ledger()
    # two releases may be of the same tree, or of the same lock files
    with ledger.exclusive(volume, 240), repository.archive(commit.hash, prefix="src/") as tar:
        fresh = engine.fill_volume(image, volume, "/workspace", tar)
    with ledger.exclusive(dependencies, 240):
        if not (fetched := engine.has_file(image, dependencies, "/deps", ".complete")):
            engine.prepare_volume(image, dependencies, "/deps", LABELS)
    print(f"{commit.hash} by {commit.author}: {commit.subject}")
    print(f"tree {commit.tree} in volume {volume} ({'filled now' if fresh else 'there already'})")
    return given.Workspace(
        tree=commit.tree,
        time=commit.time,
        subject=commit.subject,
        volume=volume,
        dependencies=dependencies,
        fetched=fetched,
    )


def _locks(service: Service) -> tuple[str, str]:
    return service.source.dependencies.runtime, service.source.dependencies.development


def _read(service: Service) -> list[str]:
    """Give what the catalog names by its path in the source repository."""
    migrations, smoke = service.deploy.migrations, service.verify.smoke
    named = [
        *_locks(service),
        service.image.dockerfile,
        *(one.path for one in (service.test.unit, service.test.integration) if one.command is None),
    ]
    return [
        *named,
        *([migrations.changelog] if migrations else []),
        *([smoke.path] if smoke and smoke.path else []),
    ]


def _changelog(service: Service) -> str | None:
    """Give the folder that a pod copies out of the image for its migrations, as `stages.migrations` does."""
    plan = service.deploy.migrations
    return PurePosixPath(plan.changelog).parts[0] if plan else None


def _lock(repository: Repository, commit: str, path: str, needed: bool) -> bytes:
    content = repository.files(commit, path).get(path)
    if content is None and not needed:
        return b""
    if content is None:
        raise PolicyFailed(
            f"{path} is not in the repository",
            code="source.file-missing",
            remedy="commit the lock file that the catalog names",
        )
    return content


def _check_out(run: Run, accepted: given.Accepted) -> given.Workspace:
    bases.refuse_lacking(run.service, accepted.bases)
    stands = standing.of(run.world, run.service, accepted)
    for name, image in stands.images.items():
        print(f"{name} is {image}")
    shown = f"`slipway explain {run.service.service}` shows it"
    own = f"the repository has no Dockerfile, its stack's is built: {shown}" if stands.written else ""
    told = "; ".join(filter(None, [own, stands.differs]))
    print(f"{told}\n{stands.written}".strip())
    found = workspace(run.world, run.service, accepted.commit, accepted.images)
    ledger = run.world.ledger()
    ledger.update(run.run_id, tree=found.tree)
    for name, why in run.service.left_out.items():
        print(f"{name} is left out: {why}")
        ledger.stage(run.run_id, name, Outcome.SKIPPED, 0.0, f"left out in the catalog: {why}")
    return found.model_copy(update={"told": told})


CHECKOUT = Step(
    id="checkout",
    title="Check out the commit",
    after=(ACCEPT,),
    needs=(given.Accepted,),
    gives=given.Workspace,
    read=lambda run: run.take(given.Accepted),
    act=_check_out,
    links=(links.CommitLink, links.ReleaseLink),
)

# the only stage whose container has a network, on which the package proxies are its only neighbour
DEPENDENCIES = Container(
    id="dependencies",
    title="Fetch dependencies",
    after=(CHECKOUT,),
    needs=(given.Accepted, given.Workspace),
    image=lambda service: toolbox(service.toolbox),
    command=gates.fetch,
    timeout_s=lambda service: 600,
    options=lambda service: {"fetches": True},
)
