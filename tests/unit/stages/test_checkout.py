"""What checkout holds a commit to before anything is made of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel

from slipway.catalog import load_service
from slipway.catalog.words import RelativePath
from slipway.stages import checkout

SERVICES = Path(__file__).parents[3] / "include/services"
[PATH] = RelativePath.__metadata__


def paths(part: BaseModel) -> Iterator[str]:
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if PATH in field.metadata:
            yield value
        elif isinstance(value, BaseModel) and name != "config":
            yield from paths(value)


def test_every_path_of_the_catalog_in_the_source_repository_is_held_to_be_no_link() -> None:
    for file in ("ai-generation.yaml", "prompt-library.yaml"):
        service = load_service(SERVICES / file)
        named = set(paths(service))
        assert {"requirements.txt", "Dockerfile", "tests/unit"} <= named
        assert named == set(checkout._read(service))
