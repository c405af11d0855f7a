"""Volumes for sources and dependencies, filled and read through a container that is never started."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO

from slipway.adapters.engine.containers import UID
from slipway.adapters.engine.refusals import APIClient, explained


@contextmanager
def holding(client: APIClient, image: str, volume: str, target: str) -> Iterator[str]:
    """Give a container, never started, that holds ``volume`` at ``target``: what files are copied in and out through."""
    from docker.types import Mount

    created = client.create_container(
        image,
        command=["true"],
        host_config=client.create_host_config(
            mounts=[Mount(target, volume, type="volume", no_copy=True)], network_mode="none"
        ),
        labels={"slipway": "holding"},
    )
    try:
        yield created["Id"]
    finally:
        client.remove_container(created["Id"], force=True, v=True)


def _tar(files: Mapping[str, bytes], mode: int = 0o644) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def has_file(client: APIClient, image: str, volume: str, target: str, name: str) -> bool:
    """Whether ``name`` is in ``volume``. Making the volume, if it is missing, is a side effect."""
    import docker.errors

    with explained(f"looking into volume {volume}"), holding(client, image, volume, target) as holder:
        try:
            client.get_archive(holder, f"{target}/{name}")
        except docker.errors.NotFound:
            return False
        return True


def archive(client: APIClient, image: str, volume: str, target: str, folder: str) -> Iterator[bytes]:
    """Give a folder of a volume as a tar, in pieces."""
    with explained(f"reading volume {volume}"), holding(client, image, volume, target) as holder:
        chunks, _ = client.get_archive(holder, f"{target}/{folder}")
        yield from chunks


def fill_volume(client: APIClient, image: str, volume: str, target: str, tar: IO[bytes]) -> bool:
    """Put the files of ``tar`` into ``volume``, and ``.complete`` last; False if ``.complete`` was there already."""
    if has_file(client, image, volume, target, ".complete"):
        return False
    with explained(f"filling volume {volume}"), holding(client, image, volume, target) as holder:
        client.put_archive(holder, target, tar)
        client.put_archive(holder, target, _tar({".complete": b""}))
    return True


def remove_volume(client: APIClient, name: str) -> None:
    """Remove a volume; none is fine, and so is one that is in use, which its user's end will leave to the nightly refresh."""
    import docker.errors

    with explained(f"removing volume {name}"):
        try:
            client.remove_volume(name, force=True)
        except docker.errors.NotFound:
            pass
        except docker.errors.APIError as e:
            if e.status_code != 409:
                raise


def prepare_volume(
    client: APIClient, image: str, volume: str, target: str, labels: Mapping[str, str]
) -> None:
    """Make ``volume`` so that the unprivileged user of the containers may write to it."""
    with explained(f"making volume {volume}"):
        client.create_volume(volume, labels=dict(labels))
        with holding(client, image, volume, target) as holder:
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as tar:
                # as an entry of its parent: the engine leaves the attributes of the folder it unpacks into alone
                info = tarfile.TarInfo(target.lstrip("/"))
                info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, 0o755, UID, UID
                tar.addfile(info)
            client.put_archive(holder, "/", out.getvalue())
