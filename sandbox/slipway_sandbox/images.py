"""The base and toolbox images for the sandbox's own registry: built as a team builds them for its own, and kept in the cache."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.adapters.registry import Registry
from slipway.errors import SlipwayError
from slipway.toolboxes import engine
from slipway.toolboxes.building import Builder, Target
from slipway.toolboxes.recipes import Recipes
from slipway_sandbox import image_store
from slipway_sandbox.engine import ImageError, client_environment
from slipway_sandbox.part import Sandbox

PREFIX, PULL_TIMEOUT_S = "slipway", 300
Log = Callable[[str], None]


def ensure(
    docker_host: str,
    registry: str,
    ca_file: str | Path,
    username: str,
    password_file: str | Path,
    cache: str | Path,
    log: Log,
) -> dict[str, str]:
    """Sees to it that the registry holds every image as `toolboxes` has it now.

    What the registry lacks is put back from the cache, pushed or built: whichever is possible first.

    :param docker_host: the engine's address, e.g. `unix:///…/docker.sock`; it must trust the registry's
    certificate
    :param registry: `host:port`, as the engine and the cluster reach it
    :param ca_file: certificate authority of the registry
    :param username: an account that may push; :param password_file: file that holds its password
    :param cache: `images/` of SLIPWAY_CACHE: the root file system, pushed images and the builds' logs
    :param log: told each step with its seconds
    :returns: image name -> `registry/slipway/NAME@sha256:…`
    :raises ImageError: with the image, the last lines of its log, and what to do
    """
    password = Path(password_file).read_text(encoding="utf-8").strip()
    kept = image_store.Kept(
        Path(cache) / "pushed", image_store.Registry.of(registry, ca_file, username, password_file)
    )
    try:
        with engine.opened(docker_host, registry, username, password, client_environment()) as opened:
            builder = Builder(
                Recipes.of(),
                opened,
                Target(Registry(registry, username, password, Path(ca_file)), PREFIX),
                Path(cache),
                log,
                os.environ.get("SLIPWAY_BASE_IMAGE") or None,
            )
            names = builder.recipes.needed()
            missing = set(names) - set(builder.in_registry(names))
            for name in missing:
                if kept.restore(name, builder.keys[name]):
                    log(f"image {name}: put back into the registry from the cache")
            found = builder.ensure(names)
    except SlipwayError as error:
        raise ImageError(str(error)) from error
    if missing:
        kept.prune(builder.keys)
    for name in names:
        kept.keep(name, builder.keys[name])
    return found


@contextmanager
def pulling(sandbox: Sandbox) -> Iterator[engine.Engine]:
    """Gives the sandbox's engine, signed in to pull.

    :raises ImageError: if the engine does not do its part.
    """
    user, password = sandbox.registry_account("pull")
    account = (user, sandbox.password(password))
    try:
        with engine.opened(sandbox.docker_host, sandbox.registry, *account, client_environment()) as opened:
            yield opened
    except SlipwayError as error:
        raise ImageError(str(error)) from error


def recorded(sandbox: Sandbox) -> dict[str, str]:
    """Gives the images by name, each by digest."""
    found: dict[str, str] = json.loads((sandbox.layout.state / "images.json").read_text(encoding="utf-8"))
    return found


def pull(opened: engine.Engine, reference: str) -> None:
    """Sees to it that the engine has an image."""
    if not opened.has(reference):
        opened.run("pull", "-q", reference, timeout_s=PULL_TIMEOUT_S)
