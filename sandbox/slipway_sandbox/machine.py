"""What the machine must have: asked before anything is made, with the figures. Standard library only: it runs before the venv.

Run as `python3 -m slipway_sandbox.machine`, which `make demo` does first. Exit code 3 with every lack at once.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slipway_sandbox.layout import Layout, SandboxError, UsageError

ANY = "SLIPWAY_ANY_MACHINE"
GIB = 1 << 30
MEMORY = 7 * GIB  # what is left of 8; measured: 1.7 at rest, and 2.3 for the cluster's build
# measured: what grows where, at the first set-up and afterwards
STATE_FIRST, STATE_LATER = 9 * GIB, 2 * GIB
CACHE_FIRST, CACHE_LATER = 2 * GIB, GIB // 4
GO_FIRST = 6 * GIB  # GOCACHE and GOMODCACHE, for the cluster's build


@dataclass(frozen=True)
class Machine:
    """What is there.

    :param system: ID and VERSION_ID of /etc/os-release.
    :param memory: bytes that programs may have.
    :param rooms: free bytes below each folder, by the file system that it is on.
    :param cgroups: whether a hierarchy is there that a cgroup can be made in.
    """

    is_root: bool
    system: tuple[str, str]
    memory: int
    rooms: Mapping[Path, tuple[int, int]]
    cgroups: bool


def lacks(machine: Machine, needs: Mapping[Path, int]) -> list[str]:
    """Give what is not enough, each with what is needed and what is there.

    :param needs: bytes that a set-up writes below each folder; folders on one file system share its room.
    """
    found = []
    if not machine.is_root:
        found.append("it must run as root: it makes bridges, mounts and users")
    if machine.system != ("debian", "12"):
        name = " ".join(machine.system).strip() or "an unknown system"
        found.append(f"Debian 12 is needed, this is {name} ({ANY}=1 tries it all the same)")
    if machine.memory < MEMORY:
        found.append(f"memory: {_gib(MEMORY)} are needed, {_gib(machine.memory)} are there")
    by_system: dict[int, list[Path]] = {}
    for folder in needs:
        by_system.setdefault(machine.rooms[folder][0], []).append(folder)
    for folders in by_system.values():
        needed, free = sum(needs[one] for one in folders), machine.rooms[folders[0]][1]
        if free < needed:
            where = ", ".join(map(str, folders))
            found.append(f"disk: {_gib(needed)} are needed for {where}, {_gib(free)} are free")
    if not machine.cgroups:
        found.append("no cgroup hierarchy is mounted at /sys/fs/cgroup: containers and the cluster need one")
    return found


def needs_of(layout: Layout, home: Path) -> dict[Path, int]:
    """Give how much a set-up will write below which folder, by what is there already."""
    is_built = (layout.cache / "kubernetes/.complete").exists()
    has_images = (layout.state / "images.json").exists()
    needs = {
        layout.state: STATE_LATER if has_images else STATE_FIRST,
        layout.cache: CACHE_LATER if is_built else CACHE_FIRST,
    }
    if not is_built and not any((home / ".cache/go-build").glob("*")):
        needs[home] = GO_FIRST
    return needs


def look(folders: list[Path]) -> Machine:
    """Look at this machine, and at the room below folders that need not be there yet."""
    rooms = {}
    for folder in folders:
        there = next(one for one in (folder, *folder.parents) if one.is_dir())
        rooms[folder] = (there.stat().st_dev, shutil.disk_usage(there).free)
    return Machine(os.geteuid() == 0, _system(), _memory(), rooms, _has_cgroups())


def check(layout: Layout, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse a machine on which a set-up cannot succeed.

    :raises SandboxError: what is lacking, with the figures
    """
    needs = needs_of(layout, Path(environment.get("HOME", "/root")))
    found = lacks(look(list(needs)), needs)
    if environment.get(ANY):
        found = [one for one in found if ANY not in one]
    if found:
        raise SandboxError(
            "this machine cannot hold the sandbox:\n" + "\n".join(f"  - {one}" for one in found)
        )


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"


def _system() -> tuple[str, str]:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return "", ""
    told = dict(line.partition("=")[::2] for line in lines if "=" in line)
    return told.get("ID", "").strip('"'), told.get("VERSION_ID", "").strip('"')


def _memory() -> int:
    """The machine's memory, or less where a container's bound says so."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    figures = [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:")]
    for bound in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            figures.append(int((Path("/sys/fs/cgroup") / bound).read_text()))
        except (OSError, ValueError):  # the other version's; or `max`
            continue
    return min(figures)


def _has_cgroups() -> bool:
    root = Path("/sys/fs/cgroup")
    return (root / "cgroup.controllers").is_file() or any(root.glob("*/cgroup.procs"))


if __name__ == "__main__":
    try:
        check(Layout.from_environment())
    except SandboxError as error:
        print(f"slipway sandbox: {error}", file=sys.stderr)
        sys.exit(3 if not isinstance(error, UsageError) else error.exit_code)
