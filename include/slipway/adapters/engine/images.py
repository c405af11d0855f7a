"""Images of the engine: pulled by digest, made of a folder, named, pushed."""

from __future__ import annotations

import tempfile

from slipway.adapters.engine.refusals import APIClient, explained
from slipway.adapters.engine.volumes import holding
from slipway.errors import Permanent, Transient


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


def image_of_folder(
    client: APIClient, image: str, volume: str, target: str, folder: str, repository: str, tag: str
) -> str:
    """Make a local image that holds nothing but ``folder`` of ``volume``, for `FROM` in a build without network."""
    ref = f"{repository}:{tag}"
    if image_exists(client, ref):
        return ref
    with explained(f"making image {ref}"), holding(client, image, volume, target) as holder:
        chunks, _ = client.get_archive(holder, f"{target}/{folder}")
        with tempfile.TemporaryFile() as tar:
            for chunk in chunks:
                tar.write(chunk)
            tar.seek(0)
            client.import_image_from_data(tar, repository=repository, tag=tag)
    return ref


def tag(client: APIClient, image: str, repository: str, name: str) -> None:
    """Let ``repository:name`` be the image of an id, whatever had that name."""
    with explained(f"naming {image} {repository}:{name}"):
        client.tag(image, repository, name, force=True)


def push(client: APIClient, repository: str, tag: str, username: str, password: str) -> str:
    """Push ``repository:tag`` and give the digest that the registry answered."""
    digest = None
    with explained(f"pushing {repository}:{tag}"):
        answers = client.push(
            repository,
            tag,
            stream=True,
            decode=True,
            auth_config={"username": username, "password": password},
        )
        for line in answers:
            if "error" in line:
                denied = "denied" in line["error"] or "unauthorized" in line["error"]
                raise (Permanent if denied else Transient)(
                    f"pushing {repository}:{tag}: {line['error']}",
                    code="image.push-denied" if denied else "image.push-failed",
                    remedy="correct secret/slipway/registry in Vault"
                    if denied
                    else "see that the registry answers the engine, and the room on its disk",
                )
            digest = line.get("aux", {}).get("Digest", digest)
    if not digest:
        raise Transient(
            f"pushing {repository}:{tag}: the engine named no digest", code="image.push-without-digest"
        )
    return str(digest)
