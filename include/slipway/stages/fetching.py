"""A package client of an image, run by the platform itself where the package proxies alone are reached: no pushed code."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import Transient

if TYPE_CHECKING:
    from slipway.catalog.platform import Packages
    from slipway.stages.world import Engine

JOB_S = 240
"""Seconds that it may take."""


@dataclass(frozen=True)
class Job:
    """What runs.

    :param name: of its container, network and volume, after `slipway-`: one at a time.
    :param script: of sh; it may write to /out and /tmp. :param folder: below /out, what is wanted of it.
    """

    name: str
    image: str
    script: str
    folder: str
    environment: Mapping[str, str] = field(default_factory=dict)


def fetched(packages: Packages, engine: Engine, job: Job, *, login: tuple[str, ...] = ()) -> dict[str, bytes]:
    """Run it to its end, and give the files of its folder by name.

    :param login: who pulls the image for the engine; its own login if empty.
    :raises Transient: if it fails, or the engine does not do its part.
    """
    from docker.types import Mount

    name, labels = f"slipway-{job.name}", {"slipway": "fetching"}
    engine.ensure_image(job.image, *login)
    _cleared(engine, name)  # of one that was killed
    try:
        engine.package_network(name, packages.container, packages.hosts, labels)
        engine.prepare_volume(job.image, name, "/out", labels)
        engine.start(
            name,
            job.image,
            network_mode=name,
            command=["timeout", "--kill-after=10", str(JOB_S), "sh", "-c", job.script],
            environment={"HOME": "/tmp", **packages.environment(), **job.environment},
            mounts=[Mount("/out", name, type="volume")],
            tmpfs={"/tmp": "size=256m,mode=1777"},
            memory="1g",
            labels=labels,
        )
        if code := engine.wait_exit(name, JOB_S + 30):
            raise Transient(
                f"{name}: the package client ended with {code}",
                code="packages.client-failed",
                remedy="see what it says, and that the package proxies have what it asks for",
                lines=engine.log_tail(name),
            )
        return _files(engine, job.image, name, job.folder)
    finally:
        _cleared(engine, name)


def _cleared(engine: Engine, name: str) -> None:
    engine.remove_container(name)
    engine.remove_network(name)
    engine.remove_volume(name)


def _files(engine: Engine, image: str, volume: str, folder: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tempfile.TemporaryFile() as spool:
        for chunk in engine.archive(image, volume, "/out", folder):
            spool.write(chunk)
        spool.seek(0)
        with tarfile.open(fileobj=spool) as tar:
            for entry in tar:
                if entry.isreg() and (content := tar.extractfile(entry)):
                    found[PurePosixPath(entry.name).name] = content.read()
    return found
