"""`slipway explain`: what a release of a working copy would build on and run, without running any of it."""

from __future__ import annotations

import shlex
from pathlib import Path

import click


@click.command("explain")
@click.argument("service")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="The working copy: a clone of the service's repository.  [default: here]",
)
def explain(service: str, folder: Path) -> None:
    """Print what a release of SERVICE would run and build: each gate's command, and the Dockerfile with what it stands on.

    Where the project has no Dockerfile, that of its stack is printed whole. Nothing is run.
    """
    from slipway.catalog import catalog_directory, load_platform, load_service
    from slipway.errors import PolicyFailed
    from slipway.release import bases, dockerfiles, gates, runtimes

    entry, platform = load_service(catalog_directory() / f"{service}.yaml"), load_platform()
    plan = entry.image
    click.echo(f"{entry.service}: stack {entry.stack}, toolbox {platform.image(entry.toolbox)}")
    for gate in gates.alone(entry, platform.advisories.max_age_days, platform.advisories.of):
        click.echo(f"  {gate.stage}: {shlex.join(gate.command)}")
    texts = {name: path.read_bytes() for name in dockerfiles.FILES if (path := folder / name).is_file()}
    if (path := folder / plan.dockerfile).is_file():
        text = path.read_text(encoding="utf-8", errors="replace")
        click.echo(f"Dockerfile: {plan.dockerfile}")
    else:
        there = [
            one.relative_to(folder).as_posix() for one in sorted(folder.rglob("*")) if ".git" not in one.parts
        ]
        try:
            text = dockerfiles.written(
                entry.stack, dockerfiles.Project(there, texts, entry.source.dependencies.runtime)
            )
        except dockerfiles.Unclear as why:
            raise PolicyFailed(
                f"the repository has no {plan.dockerfile}, and {why}",
                code="image.dockerfile-unclear",
                remedy="commit a Dockerfile, or what is missing",
            ) from why
        click.echo(f"Dockerfile: none; the stack's own is\n\n{text}")
    names = bases.named(text, plan.arguments)
    for one in names:
        stands = bases.copy_of(bases.familiar(one.name), platform.base_images)
        click.echo(f"  {one.name}: {stands or 'the platform has no copy'}")
    below = [bases.familiar(one.name) for one in names]
    if told := runtimes.told(entry.stack, bases.last(text, plan.arguments, plan.target), below, texts):
        click.echo(told)
