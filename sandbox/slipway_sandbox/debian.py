"""Debian's packages: installed when missing, their services not started; unpacked aside if they clash."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from slipway_sandbox.layout import SETUP_VARIABLE, Layout, SandboxError, write_file
from slipway_sandbox.run import run

POLICY = Path("/usr/sbin/policy-rc.d")
LISTS = Path("/var/lib/apt/lists")
LISTS_MAX_AGE_S = 7 * 86400
# program -> package that has it; all that the sandbox takes from Debian
PROGRAMS = {
    "/usr/sbin/dockerd": "docker.io",
    "/usr/bin/docker": "docker.io",
    "/usr/bin/containerd": "containerd",
    "/usr/sbin/nginx": "nginx-light",
    "/usr/sbin/fcgiwrap": "fcgiwrap",
    "/usr/bin/docker-registry": "docker-registry",
    "/usr/bin/git": "git",
    "/usr/bin/python3": "python3",
    "/usr/sbin/iptables": "iptables",
    "/usr/bin/openssl": "openssl",
    "/usr/sbin/ip": "iproute2",
    "/usr/bin/setpriv": "util-linux",
    "/usr/bin/mmdebstrap": "mmdebstrap",
}
# apt's programs are no rest of a command to be ended: half a package would be left; sandbox/apt.sh waits for them
QUIET = {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", SETUP_VARIABLE: "apt"}
OURS = "# written by Slipway's sandbox, for as long as it installs\n"
HEAL_TIMEOUT_S = 900
UNPACKING = ".unpacking"  # in the folder aside while packages are unpacked into it
_apt = threading.Lock()


def program(layout: Layout, path: str) -> Path:
    """Where the program that Debian puts at `path` lies: there, or unpacked below the cache."""
    aside = layout.cache / "debian"
    unpacked = aside / path.lstrip("/")
    return unpacked if unpacked.exists() and not (aside / UNPACKING).exists() else Path(path)


def missing(layout: Layout, programs: Iterable[str]) -> set[str]:
    """The packages that have to be fetched for `programs`, or were not installed to their end."""
    wanted = {PROGRAMS[path]: program(layout, path) for path in programs}
    halves = unfinished({name for name, place in wanted.items() if not place.is_relative_to(layout.cache)})
    return {PROGRAMS[path] for path in programs if not program(layout, path).exists()} | halves


def unfinished(packages: Iterable[str]) -> set[str]:
    """Those of `packages` that dpkg has begun with and not ended: their files may be there all the same."""
    shown = run(
        ["dpkg-query", "-W", "-f=${Package} ${db:Status-Status}\n", *sorted(packages)],
        what="asking dpkg",
        accept=(0, 1),
    ).stdout
    states = dict(line.split() for line in shown.splitlines() if len(line.split()) == 2)
    return {
        name for name, state in states.items() if state not in ("installed", "not-installed", "config-files")
    }


def heal(layout: Layout) -> None:
    """Bring to its end what an installation left that was ended in the middle; waits for one that still works.

    :raises SandboxError: it cannot be; names the package or the process, and what to do
    """
    script = layout.checkout / "sandbox/apt.sh"
    run(["sh", script, "heal"], what="mending Debian's packages", timeout_s=HEAL_TIMEOUT_S, env=QUIET)


def update_lists(force: bool = False) -> None:
    """`apt-get update`, unless the lists are there and fresh."""
    lists = [path.stat().st_mtime for path in LISTS.glob("*_Packages*")]
    if lists and time.time() - max(lists) < LISTS_MAX_AGE_S and not force:
        return
    run(["apt-get", "update", "-qq"], what="refreshing Debian's package lists", timeout_s=300, env=QUIET)


def install(layout: Layout, programs: Iterable[str]) -> str:
    """Install the packages of `programs` that are missing.

    Services of the packages are not started. If apt would remove a package for it (another vendor's Docker,
    say), the packages are unpacked below the cache instead, and `program` finds them there.

    :return: what was done, for the progress line
    """
    with _apt:
        if not missing(layout, programs):
            return "all there"
        heal(layout)
        wanted = sorted(missing(layout, programs))
        if not wanted:
            return "all there, after what an earlier installation had left was brought to its end"
        update_lists()
        plan = run(
            ["apt-get", "install", "-s", "--no-install-recommends", *wanted],
            what="apt",
            env=QUIET,
            accept=(0, 100),
        )
        if plan.returncode == 100:  # the lists may be older than the archive
            update_lists(force=True)
            plan = run(
                ["apt-get", "install", "-s", "--no-install-recommends", *wanted],
                what="apt",
                env=QUIET,
                accept=(0, 100),
            )
        removed = re.findall(r"^Remv (\S+)", plan.stdout, re.M)
        if removed or plan.returncode == 100:
            return _unpack(layout, wanted, removed)
        made_policy = not POLICY.exists() or OURS in POLICY.read_text(errors="replace")
        if made_policy:  # anew where it is ours: of an installation that was ended
            write_file(POLICY, f"#!/bin/sh\n{OURS}exit 101\n", 0o755)
        try:
            run(
                [
                    "apt-get",
                    "install",
                    "-y",
                    "-qq",
                    "-o",
                    "DPkg::Lock::Timeout=300",
                    "--no-install-recommends",
                    *wanted,
                ],
                what=f"installing {', '.join(wanted)}",
                timeout_s=900,
                env=QUIET,
                log=layout.logs / "apt.log",
            )
        finally:
            if made_policy:
                POLICY.unlink(missing_ok=True)
        _disable_services(wanted)
        return f"installed {' '.join(wanted)}"


def _disable_services(packages: list[str]) -> None:
    """Keep the services of packages that we brought from starting with the machine."""
    if not Path("/run/systemd/system").is_dir():
        return
    for package in packages:
        listed = run(["dpkg-query", "--listfiles", package], what="dpkg", accept=(0, 1)).stdout.split()
        units = [
            Path(path).name
            for path in listed
            if re.search(r"/systemd/system/[^/@]+\.(service|socket)$", path)
        ]
        if units:
            run(["systemctl", "disable", *units], what=f"disabling {', '.join(units)}", accept=(0, 1))


def _unpack(layout: Layout, wanted: list[str], removed: list[str]) -> str:
    aside = layout.cache / "debian"
    archives = layout.cache / "debian-archives"
    archives.mkdir(parents=True, exist_ok=True)
    # what the programs load besides what any Debian machine has
    extra = {
        "docker.io": ["containerd", "runc", "tini"],
        "fcgiwrap": ["libfcgi0ldbl"],
        "nginx-light": ["nginx"],
    }
    names = sorted({*wanted, *(more for name in wanted for more in extra.get(name, []))})
    run(
        ["apt-get", "download", *names],
        what="downloading Debian packages",
        timeout_s=600,
        cwd=archives,
        env=QUIET,
    )
    aside.mkdir(exist_ok=True)
    (aside / UNPACKING).touch()
    for archive in sorted(archives.glob("*.deb")):
        run(["dpkg", "-x", archive, aside], what=f"unpacking {archive.name}", timeout_s=120)
    (aside / UNPACKING).unlink()
    if left := [name for name in wanted if not any(archives.glob(f"{name}_*.deb"))]:
        raise SandboxError(
            f"Debian package(s) {', '.join(left)} could not be had; see `apt-cache policy {left[0]}`"
        )
    because = (
        f"they clash with {', '.join(removed)}" if removed else "apt cannot install them beside what is here"
    )
    return f"unpacked {' '.join(names)} into {aside} ({because})"


def system_user(name: str, home: Path = Path("/nonexistent")) -> tuple[int, int]:
    """Uid and gid of the system user `name`, made if it is missing."""
    import grp
    import pwd

    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        run(
            [
                "useradd",
                "--system",
                "--user-group",
                "--home-dir",
                home,
                "--no-create-home",
                "--shell",
                "/usr/sbin/nologin",
                name,
            ],
            what=f"making the system user {name}",
            env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
        )
        entry = pwd.getpwnam(name)
    try:
        grp.getgrnam(name)
    except KeyError:  # whoever made the user was ended before the group
        run(["groupadd", "--system", "--gid", str(entry.pw_gid), name], what=f"making the group {name}",
            env={"PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"})  # fmt: skip
    return entry.pw_uid, grp.getgrnam(name).gr_gid
