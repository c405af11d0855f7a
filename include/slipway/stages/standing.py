"""What a service's image stands on: the platform's images for the names in its Dockerfile, and the wheels of its lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import PolicyFailed
from slipway.release import bases, dockerfiles, runtimes

if TYPE_CHECKING:
    from slipway.adapters.git import Repository
    from slipway.catalog import Service
    from slipway.release import given
    from slipway.stages.world import World

BASE_PYTHON = "base-python"
"""What a Dockerfile gets by the build argument BASE_PYTHON."""
WHEELS = "slipway-wheels"
"""What a Dockerfile gets by the build argument WHEELS: the folder `wheels` of its lock's dependencies."""


@dataclass(frozen=True)
class Standing:
    """What an image stands on.

    :param images: by digest, by the names that the Dockerfile has for them.
    :param arguments: of the build, but for those that tell the run. :param wheels: whether it takes those of the lock.
    :param differs: in words, where gates and image run different versions of the stack's language; empty if they do not.
    :param written: the Dockerfile, where the project has none.
    """

    images: Mapping[str, str]
    arguments: Mapping[str, str]
    wheels: bool
    differs: str = ""
    written: str = ""

    def labelled(self) -> dict[str, str]:
        """Give the images by names that hold beyond this release: what is given by BASE_PYTHON is named by its digest."""
        return {BASE_PYTHON if "@" in name else name: ref for name, ref in self.images.items()}


def of(world: World, service: Service, accepted: given.Accepted) -> Standing:
    """Read a commit's Dockerfile, and give what it stands on.

    :raises PolicyFailed: if there is none, or the platform has no copy of what it names.
    """
    plan, python = service.image, accepted.images[BASE_PYTHON]
    repository = world.repository(service.source)
    found = repository.files(accepted.commit, plan.dockerfile)
    written = "" if plan.dockerfile in found else _written(service, repository, accepted.commit)
    wheels = {"WHEELS": WHEELS} if service.stack == "python" else {}
    arguments = {"BASE_PYTHON": python, **wheels, **plan.arguments}
    text = written or found[plan.dockerfile].decode(errors="replace")
    names = bases.named(text, arguments)
    own = {bases.familiar(python): python}
    images = bases.resolved(
        plan.dockerfile, [one for one in names if one.name != WHEELS], accepted.bases, own
    )
    differs = runtimes.told(
        service.stack,
        bases.last(text, arguments, plan.target),
        [bases.familiar(one.name) for one in names],
        {
            name: content
            for one in (runtimes.FILES if service.stack == "node" else ())
            for name, content in repository.files(accepted.commit, one).items()
        },
    )
    return Standing(images, arguments, any(one.name == WHEELS for one in names), differs, written)


def _written(service: Service, repository: Repository, commit: str) -> str:
    """Give the Dockerfile of a project that has none, as its stack has it.

    :raises PolicyFailed: if the catalog names one, or the project does not say what must be in it.
    """
    plan = service.image
    if plan.names_dockerfile:
        raise PolicyFailed(
            f"{plan.dockerfile} is not in the repository",
            code="source.file-missing",
            remedy="commit it, or see `image.dockerfile`",
        )
    texts = {
        name: content for one in dockerfiles.FILES for name, content in repository.files(commit, one).items()
    }
    paths = [one.path for one in repository.tree(commit)]
    project = dockerfiles.Project(paths, texts, service.source.dependencies.runtime)
    try:
        return dockerfiles.written(service.stack, project)
    except dockerfiles.Unclear as why:
        raise PolicyFailed(
            f"the repository has no {plan.dockerfile}, and {why}",
            code="image.dockerfile-unclear",
            remedy="commit a Dockerfile, or what is missing",
        ) from why
