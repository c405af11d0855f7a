"""`slipway bases`: which names Dockerfiles may have, and letting one more stand for an image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from slipway.adapters.registry import Image, Registry
from slipway.cli import main
from slipway.cli.toolboxes import build

REGISTRY, DIGEST, OTHER = "registry.example.com", f"sha256:{1:064}", f"sha256:{2:064}"
PLATFORM = f"""\
environment: staging
git: {{url: "https://git.example.com"}}
registry: {{address: {REGISTRY}}}
images:
  base-python: {REGISTRY}/platform/base-python@{DIGEST}
database: {{host: postgres.example.com}}
airflow: {{url: "https://airflow.example.com"}}
base_images:
  python:3.11-slim: {REGISTRY}/platform/library-python@{DIGEST}   # ours
"""


@pytest.fixture(autouse=True)
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "platform.yaml"
    file.write_text(PLATFORM)
    monkeypatch.setenv("SLIPWAY_PLATFORM", str(file))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return file


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the registry was asked for; it has all but what is called `none`."""
    asked: list[tuple[str, str]] = []

    def image(_self: Registry, repository: str, reference: str) -> Image | None:
        asked.append((repository, reference))
        return None if repository == "none" else Image(OTHER, OTHER, "linux/amd64", {}, 1)

    monkeypatch.setattr(Registry, "image", image)
    return asked


def said(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["bases", *arguments])


def test_names_are_listed_with_their_images() -> None:
    image = f"{REGISTRY}/platform/library-python@{DIGEST}"
    assert said("list").output == f"python:3.11-slim  {image}\n"
    assert json.loads(said("list", "--json").output) == {"python:3.11-slim": image}


@pytest.mark.parametrize("name", ["node:24-slim", "python:3.11-slim", "golang:1*"])
@pytest.mark.parametrize("image", ["a/b:1", f"{REGISTRY}/a/b:1"])
def test_name_stands_for_the_digest_that_a_tag_has_now(
    platform: Path, there: list[tuple[str, str]], name: str, image: str
) -> None:
    found = said("add", name, image)
    assert (found.exit_code, there) == (0, [("a/b", "1")])
    written = yaml.safe_load(platform.read_text())
    assert written["base_images"][name] == f"{REGISTRY}/a/b@{OTHER}"
    assert written["images"] == yaml.safe_load(PLATFORM)["images"]
    assert "# ours" in platform.read_text()


@pytest.mark.parametrize(
    ("name", "image", "why"),
    [
        ("NODE:24", "a:1", "is no name that a Dockerfile could have"),
        ("node:24", "elsewhere.example.com/a:1", "is no image of registry.example.com"),
        ("node:24", "a", "by tag or digest"),
        ("node:24", "none:1", "the registry registry.example.com has no none, 1"),
    ],
)
def test_what_cannot_stand_for_a_name_is_refused(
    platform: Path, there: list[tuple[str, str]], name: str, image: str, why: str
) -> None:
    found = said("add", name, image)
    assert found.exit_code == 2
    assert why in found.output
    assert platform.read_text() == PLATFORM


def test_update_builds_where_the_platforms_images_are(
    platform: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(build, "callback", lambda **options: told.update(options))
    assert said("update").exit_code == 0
    assert (told["address"], told["target"], told["push"]) == (f"{REGISTRY}/platform", platform, True)
    assert {"library-python", "library-node"} <= set(told["names"])
