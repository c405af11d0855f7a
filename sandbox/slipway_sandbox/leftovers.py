"""What a sandbox leaves on the machine, found by proof of origin, never by name."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

from slipway_sandbox.layout import MARK_VARIABLE, SETUP_VARIABLE
from slipway_sandbox.run import run
from slipway_sandbox.supervisor import start_time


def _cgroup_root() -> Path | None:
    """The hierarchy that only keeps processes together: v2, alone or beside v1 controllers."""
    for root in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        if (root / "cgroup.procs").is_file() and (root / "cgroup.controllers").exists():
            return root
    return None


def cgroup_of(state: Path) -> Path | None:
    """The cgroup that all processes of the sandbox at `state` are born into; None without cgroup v2.

    Being in it is the proof of origin that survives `setproctitle`, double forks and the supervisor's death.
    """
    root = _cgroup_root()
    return root / cgroup_name(state) if root else None


def cgroup_name(state: Path) -> str:
    """The name of the sandbox's cgroup; others of it begin so."""
    return f"slipway-{hashlib.sha256(str(state).encode()).hexdigest()[:12]}"


def enter_cgroup(state: Path, pid: int) -> None:
    """Put a process, and all that it will start, into the sandbox's cgroup."""
    folder = cgroup_of(state)
    if folder:
        try:
            folder.mkdir(exist_ok=True)
            (folder / "cgroup.procs").write_text(str(pid))
        except OSError:  # read-only hierarchy (a container): the mark in the environment remains
            return


def _ancestors() -> set[int]:
    found, pid = set(), os.getpid()
    while pid > 1:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            break
    return found


def on_this_machine(process: Path) -> bool:
    """Whether a process of /proc shares this one's network: what does not is a machine of its own, in nobody's way."""
    return (process / "ns/net").readlink() == Path("/proc/self/ns/net").readlink()


def processes_of(state: Path) -> dict[int, int]:
    """Processes that the sandbox at `state` started, with their start times.

    Three proofs, each sufficient: the sandbox's cgroup; its mark in the environment; a root file system that
    is an overlay of the state folder (a container's process).
    """
    mark = f"{MARK_VARIABLE}={state}".encode()
    members: set[int] = set()
    folder = cgroup_of(state)
    if folder and folder.is_dir():
        for procs in [folder / "cgroup.procs", *folder.rglob("cgroup.procs")]:
            try:
                members.update(int(word) for word in procs.read_text().split())
            except OSError:
                continue
    spared = _ancestors()
    own_namespace = Path("/proc/self/ns/mnt").readlink()
    found: dict[int, int] = {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) in spared:
            continue
        pid = int(process.name)
        try:
            started = start_time(pid)
            if started is None:
                continue
            is_ours = pid in members or (
                mark in (process / "environ").read_bytes().split(b"\0") and on_this_machine(process)
            )
            if not is_ours and (process / "ns/mnt").readlink() != own_namespace:
                is_ours = _root_is_below((process / "mountinfo").read_text(), state)
        except OSError:
            continue
        if is_ours:
            found[pid] = started
    return found


def _root_is_below(mountinfo: str, state: Path) -> bool:
    """Whether the mount at / is an overlay whose layers lie below `state`."""
    return any(
        fields[4] == "/" and f"{state}/" in line
        for line in mountinfo.splitlines()
        if (fields := line.split())
    )


def sandboxes() -> dict[Path, int | None]:
    """The state folders of sandboxes with processes here, and the supervisor's id; None if it is dead."""
    found: dict[Path, int | None] = {}
    head = f"{MARK_VARIABLE}=".encode()
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().split(b"\0")
            contained = container_of((process / "cgroup").read_text(), (process / "mountinfo").read_text())
            if not contained and not on_this_machine(process):
                continue
        except OSError:
            continue
        if contained:
            found.setdefault(contained, None)
        for variable in variables:
            if variable.startswith(head):
                state = Path(variable.removeprefix(head).decode(errors="replace"))
                found.setdefault(state, None)
                if f"{state}/supervisor/supervisord.conf".encode() in command:
                    found[state] = int(process.name)
    return found


def container_of(cgroups: str, mountinfo: str) -> Path | None:
    """The state folder of the sandbox whose engine runs a process; from two of the process's own files in /proc.

    Its root says which folder; that the folder is a sandbox's is proved by the cgroup, named after the folder's hash.
    """
    if not re.search(r"/slipway-[0-9a-f]{12}-docker/", cgroups):
        return None
    for layers in re.findall(r"[=:](/[^:,\s]+)/docker/data/overlay2/", mountinfo):
        if f"/{cgroup_name(Path(layers))}-docker/" in cgroups:
            return Path(layers)
    return None


def end_processes(state: Path, patience_s: float = 5) -> int:
    """End every process of the sandbox at `state`: TERM, then KILL. :return: how many there were"""
    return _end(lambda: processes_of(state), patience_s)


def rest_of_command(state: Path) -> dict[int, int]:
    """What a `slipway sandbox` command at `state` ran and waited for, with start times; apt's programs are not among them."""
    mark = f"{SETUP_VARIABLE}={state}".encode()
    spared, found = _ancestors(), {}
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) in spared:
            continue
        try:
            if mark in (process / "environ").read_bytes().split(b"\0") and on_this_machine(process):
                started = start_time(int(process.name))
                if started is not None:
                    found[int(process.name)] = started
        except OSError:
            continue
    return found


def end_rest_of_command(state: Path, patience_s: float = 3) -> int:
    """End what an ended `slipway sandbox` command left running: it would work against the next one."""
    return _end(lambda: rest_of_command(state), patience_s)


def _end(find: Callable[[], dict[int, int]], patience_s: float) -> int:
    first = find()
    for sign, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0), (signal.SIGKILL, 5.0)):
        left = find()
        if not left:
            break
        for pid, started in left.items():
            if start_time(pid) == started:
                try:
                    os.kill(pid, sign)
                except ProcessLookupError:
                    continue
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline and any(
            start_time(pid) == started for pid, started in left.items()
        ):
            time.sleep(0.05)
    return len(first)


def mounts_below(folder: Path, mountinfo: str) -> list[str]:
    """Mount points below `folder` out of /proc/self/mountinfo, the deepest first."""
    points = []
    for line in mountinfo.splitlines():
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line.split()[4])
        if point.startswith(f"{folder}/"):
            points.append(point)
    return sorted(points, key=lambda point: (point.count("/"), len(point)), reverse=True)


def unmount_below(folder: Path) -> int:
    """Unmount everything below `folder`. :return: how many mounts there were"""
    points = mounts_below(folder, Path("/proc/self/mountinfo").read_text())
    for point in points:
        run(["umount", "--lazy", point], what=f"unmounting {point}", accept=(0, 1, 32))
    return len(points)


def remove_cgroups(name: str) -> None:
    """Remove the cgroup `name` of every hierarchy, with all below it; they are empty by now."""
    deadline = time.monotonic() + 3
    for top in [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]:
        folders = [Path(folder) for folder, _, _ in os.walk(top)]
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            while folder.is_dir():
                try:
                    folder.rmdir()
                except OSError:  # EBUSY: the kernel lets go a moment after the last process
                    if time.monotonic() > deadline:
                        break
                    time.sleep(0.05)


def remove_cgroup_of(state: Path) -> None:
    """Remove the sandbox's own cgroup."""
    folder = cgroup_of(state)
    if folder and folder.is_dir():
        remove_cgroups(folder.name)
