"""Images of the engine, pulled by digest."""

from __future__ import annotations

from slipway.adapters.engine.refusals import APIClient, explained
from slipway.errors import Transient


def image_exists(client: APIClient, ref: str) -> bool:
    """Whether the engine has an image of this name."""
    import docker.errors

    with explained(f"looking for image {ref}"):
        try:
            client.inspect_image(ref)
        except docker.errors.ImageNotFound:
            return False
        return True


def ensure_image(
    client: APIClient, ref: str, username: str | None = None, password: str | None = None
) -> None:
    """Pull ``ref`` (by digest) unless the engine has it.

    :param username: account of the registry; None is the one that the client has signed in with.
    """
    if image_exists(client, ref):
        return
    account = {"username": username, "password": password} if username else None
    with explained(f"pulling {ref}"):
        for line in client.pull(ref, stream=True, decode=True, auth_config=account):
            if "error" in line:
                raise Transient(
                    f"pulling {ref}: {line['error']}",
                    code="image.not-pulled",
                    remedy="see that the registry answers the engine",
                )
