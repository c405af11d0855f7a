"""What a Dockerfile's names stand for: the platform's images as they were accepted, by digest."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.catalog import Service
from slipway.catalog.service import Image
from slipway.errors import PolicyFailed
from slipway.release import given
from slipway.stages import standing

DIGEST = "sha256:" + 64 * "3"
SLIM = f"registry:5000/slipway/library-python@{DIGEST}"


@pytest.fixture
def accepted(accepted: given.Accepted) -> given.Accepted:
    return accepted.model_copy(update={"bases": {"python:3.11-slim": SLIM, "node:24*": "n"}})


def of(world: Any, service: Service, accepted: given.Accepted, text: str) -> standing.Standing:
    world.repository(service.source).content["Dockerfile"] = text.encode()
    return standing.of(world, service, accepted)


def test_public_names_stand_for_the_platforms_copies(
    world: Any, service: Service, accepted: given.Accepted
) -> None:
    text = "FROM node:24-slim AS built\nFROM docker.io/library/python:3.11-slim\nCOPY --from=built /a /a\n"
    found = of(world, service, accepted, text)
    assert found.images == {"node:24-slim": "n", "docker.io/library/python:3.11-slim": SLIM}
    assert found.wheels is False
    assert found.labelled() == found.images


def test_what_is_given_by_arguments_is_the_pipelines(
    world: Any, service: Service, accepted: given.Accepted
) -> None:
    python = accepted.images["base-python"]
    text = "ARG BASE_PYTHON\nARG WHEELS\nFROM ${WHEELS} AS w\nFROM ${BASE_PYTHON}\nCOPY --from=w / /w\n"
    found = of(world, service, accepted, text)
    assert (found.images, found.wheels) == ({python: python}, True)
    assert found.labelled() == {"base-python": python}


def test_version_that_is_not_the_gates_is_told(
    world: Any, service: Service, accepted: given.Accepted
) -> None:
    other = accepted.model_copy(update={"bases": {"python:3*": SLIM}})
    assert of(world, service, other, "FROM python:3.11-slim\n").differs == ""
    told = of(world, service, other, "FROM python:3.13-slim\n").differs
    assert told == "the image stands on python:3.13-slim, and the gates run Python 3.11"


def test_argument_of_the_catalog_chooses_the_base(
    world: Any, service: Service, accepted: given.Accepted
) -> None:
    plan = service.image.model_copy(update={"arguments": {"BASE": "python:3.11-slim"}})
    chosen = service.model_copy(update={"image": plan})
    found = of(world, chosen, accepted, "ARG BASE=python:3.12\nFROM ${BASE}\n")
    assert found.images == {"python:3.11-slim": SLIM}


def test_project_without_a_dockerfile_gets_its_stacks_unless_the_catalog_names_one(
    world: Any, service: Service, accepted: given.Accepted
) -> None:
    repository = world.repository(service.source)
    repository.content = {"requirements.txt": b"", "Procfile": b"web: python -m app\n"}
    unnamed = service.model_copy(update={"image": Image(repository="ai-generation")})
    found = standing.of(world, unnamed, accepted)
    assert found.images == {"python:3.11-slim": SLIM}
    assert 'CMD ["python", "-m", "app"]' in found.written
    with pytest.raises(PolicyFailed, match="Dockerfile is not in the repository"):
        standing.of(world, service, accepted)
    del repository.content["Procfile"]
    with pytest.raises(PolicyFailed, match="no Dockerfile, and no Procfile"):
        standing.of(world, unnamed, accepted)


def test_name_without_a_copy_and_a_commit_without_the_file_are_refused(
    world: Any, service: Service, accepted: given.Accepted
) -> None:
    with pytest.raises(PolicyFailed, match=r"no copy of the image python:3\.12") as caught:
        of(world, service, accepted, "FROM python:3.12")
    assert "python:3.11-slim" in caught.value.remedy
    world.repository(service.source).content.clear()
    with pytest.raises(PolicyFailed, match="Dockerfile is not in the repository"):
        standing.of(world, service, accepted)
