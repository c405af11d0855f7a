"""`slipway advisories`: what the platform knows of vulnerable packages, and since when."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from slipway.cli.answers import json_option
from slipway.cli.settings import credential, credential_path
from slipway.cli.toolboxes import account

if TYPE_CHECKING:
    from slipway.adapters.registry import Registry
    from slipway.catalog import Platform


@click.group()
def advisories() -> None:
    """The advisories that packages of releases are held against: of which ecosystems, from where, and how old."""


def registry(platform: Platform, username: str = "", password: str = "") -> Registry:
    """Give the platform's registry; without an account, with the one that `docker login` has left."""
    from slipway.adapters.registry import Registry

    where = platform.registry
    if not username:
        username, password = account(where.address, None, None)
    ca_file = Path(where.ca_file) if where.ca_file else None
    return Registry(where.address, username, password, ca_file, where.image_platform)


def _pulling() -> tuple[str, ...]:
    """Give who pulls, if the sandbox has left that; docker's own login otherwise."""
    return ("pull", credential("registry-pull")) if credential_path("registry-pull").is_file() else ()


@advisories.command("list")
@json_option("Print them as JSON.")
def list_(as_json: bool) -> None:
    """Print the advisories that releases are judged by, of each ecosystem: how many, of when, and from where."""
    from slipway.catalog import load_platform
    from slipway.stages.advisories import known

    platform = load_platform()
    found = known(platform, registry(platform, *_pulling()))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found.values()], indent=1))
        return
    for ecosystem in sorted({*found, *platform.advisories.sources}):
        one = found.get(ecosystem)
        told = f"{one.records} of {one.published[:10]}, {one.source}" if one else "never fetched"
        left = "" if ecosystem in platform.advisories.sources else " (no source is named any more)"
        click.echo(f"{ecosystem}: {told}{left}")
    if not found and not platform.advisories.sources:
        click.echo(
            "PyPI: those that the toolbox brings; the platform file names no source (`advisories.sources`)"
        )


@advisories.command("update")
@click.option("--username", help="Who pushes. Without it: as `docker login` has left it.")
@click.option(
    "--password-file", type=click.Path(dir_okay=False, path_type=Path), help="The file with the password."
)
@click.pass_context
def update(ctx: click.Context, username: str | None, password_file: Path | None) -> None:
    """Fetch what the platform's sources have now, as the nightly refresh does. Exit code 3: one could not be had."""
    import docker

    from slipway.adapters import engine
    from slipway.catalog import load_platform
    from slipway.stages.advisories import renew
    from slipway.stages.world import bound
    from slipway.toolboxes.engine import address

    platform = load_platform()
    user, password = account(platform.registry.address, username, password_file)
    with engine.explained("asking it"):
        client = docker.APIClient(base_url=address(), version="auto", timeout=600)
    try:
        renewed = renew(platform, registry(platform, user, password), bound(client), login=_pulling())
    finally:
        client.close()
    for line in renewed.said:
        click.echo(line)
    for error in renewed.failed:
        click.echo(str(error), err=True)
    if not platform.advisories.sources:
        click.echo("the platform file names no source (`advisories.sources`)", err=True)
    ctx.exit(3 if renewed.failed else 0)
