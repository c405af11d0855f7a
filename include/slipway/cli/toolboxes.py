"""`slipway toolboxes`: build the base and toolbox images for a registry."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from slipway.cli.answers import json_option
from slipway.cli.settings import cache
from slipway.errors import CatalogError

PREFIX = "slipway"


@click.group()
def toolboxes() -> None:
    """The images that gates, migrations and playbooks run in, and the bases below them."""


def parted(address: str) -> tuple[str, str]:
    """Give the registry's `host[:port]` and the prefix of an address.

    :raises CatalogError: if it is none.
    """
    found = re.fullmatch(
        r"([A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?)((?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*)", address
    )
    if not found:
        raise CatalogError(
            f"`{address}` is no registry's address",
            code="registry.address-malformed",
            remedy="write HOST[:PORT][/PREFIX], without https://, such as registry.example.com/platform",
        )
    return found[1], found[2].strip("/") or PREFIX


def account(registry: str, username: str | None, password_file: Path | None) -> tuple[str, str]:
    """Give the account to push with: the one that is named, or else the one that `docker login` has left; nobody without either.

    :raises CatalogError: if only a half of it is named, or docker's login has no password.
    """
    if bool(username) != bool(password_file):
        raise CatalogError(
            "Only one of --username and --password-file is given.",
            code="toolboxes.account-incomplete",
            remedy="Give both, or neither: then `docker login` says who pushes.",
        )
    if username and password_file:
        try:
            return username, password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise CatalogError(
                f"{password_file} cannot be read: {error.strerror}.",
                code="credential.unreadable",
                remedy="Correct --password-file.",
            ) from error
    import docker.auth  # heavy

    left = docker.auth.load_config().resolve_authconfig(registry) or {}
    if left.get("IdentityToken"):
        raise CatalogError(
            f"docker's login at {registry} is a token that only docker understands.",
            code="toolboxes.login-not-usable",
            remedy="Name an account by --username and --password-file.",
        )
    return left.get("username") or left.get("Username") or "", left.get("password") or left.get(
        "Password"
    ) or ""


@toolboxes.command("build")
@click.option("--registry", "address", metavar="ADDRESS", required=True,
              help="Where they go: HOST[:PORT][/PREFIX]; the prefix is `slipway` if none is given.")  # fmt: skip
@click.option(
    "--push/--no-push", default=True, show_default=True, help="Push them, or build them in the engine only."
)
@click.option(
    "--only",
    "names",
    metavar="NAME",
    multiple=True,
    help="Only this image and what it stands on; may be repeated.",
)
@click.option("--write", "target", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Put the references into this platform file; what else is in it stays.")  # fmt: skip
@json_option("Print the references and keys as JSON.")
@click.option("--username", help="Who pushes. Without it: as `docker login` has left it.")
@click.option(
    "--password-file", type=click.Path(dir_okay=False, path_type=Path), help="The file with the password."
)
@click.option("--ca-file", type=click.Path(dir_okay=False, exists=True, path_type=Path),
              help="Certificate authority of the registry; the system's without it. The engine must trust it, too.")  # fmt: skip
@click.option("--base-image", envvar="SLIPWAY_BASE_IMAGE",
              help="A Debian 12 image to stand on. Without it Debian's minimal system is made here, by mmdebstrap.")  # fmt: skip
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="What they are made of: this checkout's `toolboxes`.",
)
def build(
    address: str,
    push: bool,
    names: tuple[str, ...],
    target: Path | None,
    as_json: bool,
    username: str | None,
    password_file: Path | None,
    ca_file: Path | None,
    base_image: str | None,
    folder: Path | None,
) -> None:
    """Build the base and toolbox images, push what the registry lacks, and print the platform file's `images` and `base_images`.

    An image that the registry has under its key, a hash of what it is made of, is not built again. Builds take their package
    indexes, mirrors and certificates from this machine's own settings (pip, npm, Go, apt, Maven); none of it is in an image. The
    engine is the one of docker's client (DOCKER_HOST, or its context). What is told on the way goes to standard error.
    """
    from slipway.adapters.registry import Registry
    from slipway.toolboxes import engine, platform_file
    from slipway.toolboxes.building import Builder, Target
    from slipway.toolboxes.recipes import FOLDER, Recipes

    if target and not push:
        raise CatalogError(
            "--write needs images by digest, and what is not pushed has none.",
            code="toolboxes.no-digest",
            remedy="Leave out --no-push, or --write.",
        )
    host, prefix = parted(address)
    user, password = account(host, username, password_file)
    recipes = Recipes.of(folder.absolute() if folder else FOLDER)
    needed = recipes.needed(names)
    with engine.opened(engine.address(), host, user, password) as opened:
        builder = Builder(
            recipes,
            opened,
            Target(Registry(host, user, password, ca_file), prefix),
            cache() / "images",
            lambda line: click.echo(line, err=True),
            base_image,
        )
        images = builder.ensure(needed, push=push)
    if target:
        platform_file.write(target, *recipes.parted(images))
        click.echo(f"{target}: {len(images)} images written", err=True)
    if as_json:
        click.echo(
            json.dumps({"images": images, "keys": {name: builder.keys[name] for name in needed}}, indent=1)
        )
    elif not target:
        own, public = recipes.parted(images)
        click.echo(platform_file.part(own), nl=False)
        if public:
            click.echo(platform_file.part(public, platform_file.BASES), nl=False)
