"""What the lowest image stands on where no other is named: Debian's minimal system, made on this machine by mmdebstrap."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from slipway import process
from slipway.errors import Permanent, Transient
from slipway.toolboxes.clients import PackageClients

# `usrmerge` would bring all of perl; its alternative `usr-is-merged` asks for a tree that is merged already.
OPTIONS = (
    "--variant=minbase",
    "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr",
    '--setup-hook=mkdir -p "$1/etc/apt/preferences.d"'
    " && printf 'Package: usrmerge\\nPin: release *\\nPin-Priority: -1\\n'"
    ' > "$1/etc/apt/preferences.d/slipway"',
    *(f"--dpkgopt=path-exclude=/usr/share/{part}/*" for part in ("man", "info", "locale", "lintian", "doc")),
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    '--customize-hook=rm -rf "$1"/etc/apt/sources.list* "$1"/etc/apt/preferences.d/slipway'
    ' "$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/etc/hostname "$1"/etc/resolv.conf "$1"/var/lib/apt/lists/*'
    ' "$1"/var/cache/apt/* "$1"/var/cache/debconf/*-old'
    ' "$1"/var/log/apt "$1"/var/log/dpkg.log "$1"/var/log/alternatives.log'
    ' && mv "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap "$1"/etc/dpkg/dpkg.cfg.d/slipway'
    ' && find "$1"/usr/share/doc -type f ! -name copyright -delete',
)
SUITE = "bookworm"
"""The suite of what says no other."""
TIMEOUT_S = 1800


def identity(suite: str = SUITE) -> str:
    """Give what names the root file system in the keys of what stands on it. No date is in it."""
    return "\0".join((*OPTIONS, suite))


def key(suite: str = SUITE) -> str:
    """Give its key, 16 hexadecimal digits."""
    return hashlib.sha256(identity(suite).encode()).hexdigest()[:16]


def made(folder: Path, clients: PackageClients, suite: str = SUITE) -> Path:
    """Make the root file system of a suite in a folder, if it is not there; give the tarball.

    :raises Permanent: if this machine's apt knows no source of Debian bookworm.
    :raises Transient: if mmdebstrap is missing, or fails.
    """
    tarball = folder / f"rootfs-{key(suite)}.tar"
    if tarball.is_file():
        return tarball
    if not clients.apt_sources:
        raise Permanent(
            "image base-debian: /etc/apt names no source of Debian bookworm on this machine",
            code="toolboxes.no-debian-source",
            remedy="add one, or name an image to stand on by SLIPWAY_BASE_IMAGE, such as debian:bookworm-slim",
        )
    # of one that was ended; its mounts, should there be any, are not gone into
    for left in folder.glob("rootfs-*/"):
        process.run(["rm", "-rf", "--one-file-system", left], timeout_s=TIMEOUT_S, ok=(0, 1))
    with tempfile.TemporaryDirectory(prefix="rootfs-", dir=folder) as work:
        sources, conf, unfinished = (
            Path(work) / part for part in ("debian.sources", "apt.conf", "rootfs.tar")
        )
        sources.write_text(clients.sources(suite), encoding="utf-8")
        conf.write_text(clients.apt_conf or "// none\n", encoding="utf-8")
        try:
            process.run(
                [
                    # what it mounts goes with it, however it ends
                    *(("unshare", "--mount") if os.geteuid() == 0 else ()),
                    "mmdebstrap", "--quiet", *OPTIONS, f"--aptopt={conf}", suite, unfinished, sources,
                ],
                timeout_s=TIMEOUT_S,
                environment={**os.environ, "SOURCE_DATE_EPOCH": "1700000000", "TMPDIR": work},
            )  # fmt: skip
        except Transient as failure:
            raise Transient(
                f"image base-debian: Debian's root file system cannot be made: {failure.message}",
                code="toolboxes.no-root-file-system",
                remedy="install mmdebstrap and see that the mirror answers, or name an image to stand on by SLIPWAY_BASE_IMAGE",
                lines=failure.lines,
            ) from failure
        unfinished.rename(tarball)
    return tarball
