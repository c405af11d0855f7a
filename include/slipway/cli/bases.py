"""`slipway bases`: what Dockerfiles may build on, and which images of the platform's registry stand for it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli.answers import json_option
from slipway.cli.toolboxes import account, build
from slipway.errors import CatalogError

if TYPE_CHECKING:
    from slipway.catalog import Platform
    from slipway.toolboxes.recipes import Recipes


@click.group()
def bases() -> None:
    """What Dockerfiles may build on: public names, and the images of the platform's registry that stand for them."""


@bases.command("list")
@json_option("Print them as JSON.")
def list_(as_json: bool) -> None:
    """List the names that Dockerfiles may have in FROM, each with the platform's image by digest."""
    from slipway.catalog import load_platform

    found = dict(sorted(load_platform().base_images.items()))
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    width = max(map(len, found), default=0)
    click.echo("\n".join(f"{name:<{width}}  {image}" for name, image in found.items()) or "none")


@bases.command("add")
@click.argument("name")
@click.argument("image")
@click.option("--username", help="Who asks the registry. Without it: as `docker login` has left it.")
@click.option(
    "--password-file", type=click.Path(dir_okay=False, path_type=Path), help="The file with the password."
)
def add(name: str, image: str, username: str | None, password_file: Path | None) -> None:
    """Let an image of the platform's registry stand for a name, or for a pattern with `*` and `?`.

    IMAGE is REPOSITORY:TAG or REPOSITORY@sha256:…, in the registry of the platform file (SLIPWAY_PLATFORM). It is written
    there by the digest that it has now, and releases that are accepted from then on build on it.
    """
    from pydantic import TypeAdapter, ValidationError

    from slipway.adapters.registry import Registry
    from slipway.catalog import load_platform
    from slipway.catalog.words import BaseName
    from slipway.toolboxes import platform_file

    platform, file = load_platform(), Path(os.environ["SLIPWAY_PLATFORM"])
    try:
        TypeAdapter(BaseName).validate_python(name)
    except ValidationError as error:
        raise CatalogError(
            f"`{name}` is no name that a Dockerfile could have",
            code="bases.name-malformed",
            remedy="write it as in FROM, with a tag, such as `node:24-slim`, or a pattern such as `node:24*`",
        ) from error
    repository, reference = _parted(platform, image)
    where = platform.registry
    user, password = account(where.address, username, password_file)
    registry = Registry(
        where.address, user, password, Path(where.ca_file) if where.ca_file else None, where.image_platform
    )
    found = registry.image(repository, reference)
    if found is None:
        raise CatalogError(
            f"the registry {where.address} has no {repository}, {reference}",
            code="bases.image-missing",
            remedy="push it there first: releases build on the platform's own copies alone",
        )
    by_digest = f"{where.address}/{repository}@{found.digest}"
    platform_file.write(file, {}, {name: by_digest})
    click.echo(f"{name} is {by_digest} from now on, in {file}")


def _parted(platform: Platform, image: str) -> tuple[str, str]:
    """Give repository, and tag or digest, of an image in the platform's registry."""
    found = re.fullmatch(
        r"(?![^/]*\.[^/]*/)([a-z0-9._/-]+)(?::([\w.-]+)|@(sha256:[0-9a-f]{64}))",
        image.removeprefix(f"{platform.registry.address}/"),
    )
    if not found:
        raise CatalogError(
            f"`{image}` is no image of {platform.registry.address} by tag or digest",
            code="bases.image-malformed",
            remedy="write REPOSITORY:TAG or REPOSITORY@sha256:…, of that registry",
        )
    return found[1], found[2] or found[3]


def _wanted(platform: Platform, recipes: Recipes) -> list[str]:
    """Give the names that are built without being asked for, and those that the platform file has already."""
    return [
        one
        for name, names in recipes.names.items()
        for one in names
        if name not in recipes.asked or one in platform.base_images
    ]


@bases.command("update")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--username", help="Who pushes. Without it: as `docker login` has left it.")
@click.option(
    "--password-file", type=click.Path(dir_okay=False, path_type=Path), help="The file with the password."
)
@click.pass_context
def update(
    ctx: click.Context, names: tuple[str, ...], username: str | None, password_file: Path | None
) -> None:
    """Build those of this checkout (Debian, Python, Node, Go) as it has them now, and write them into the platform file.

    As `slipway toolboxes build` does, which builds all images. What was added by hand stays. NAME is one of a Dockerfile,
    such as python:3.13-slim: only these are built. Some are not built unless they are named here once.
    """
    from slipway.catalog import load_platform
    from slipway.toolboxes.recipes import Recipes

    platform, recipes = load_platform(), Recipes.of()
    where = platform.registry
    prefix = platform.image("base-python").partition("@")[0].rpartition("/")[0]
    ctx.invoke(
        build,
        address=prefix,
        names=recipes.of_names(names) or recipes.of_names(_wanted(platform, recipes)),
        target=Path(os.environ["SLIPWAY_PLATFORM"]),
        username=username,
        password_file=password_file,
        ca_file=Path(where.ca_file) if where.ca_file else None,
        base_image=os.environ.get("SLIPWAY_BASE_IMAGE"),
    )
