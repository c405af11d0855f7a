"""What a killed sandbox leaves is found by proof of origin."""

import os
import subprocess
import sys
from pathlib import Path

from slipway_sandbox.layout import MARK_VARIABLE, SETUP_VARIABLE
from slipway_sandbox.leftovers import (
    _root_is_below,
    cgroup_name,
    container_of,
    end_processes,
    end_rest_of_command,
    mounts_below,
    processes_of,
    rest_of_command,
    sandboxes,
)

MOUNTS = """\
22 1 254:0 / / rw shared:1 - ext4 /dev/vda rw
40 22 0:40 / /s/docker/data/overlay2/a/merged rw - overlay overlay rw,lowerdir=/s/docker/data/overlay2/l/X
41 22 0:41 / /s/docker/exec/netns/x rw - nsfs nsfs rw
42 40 0:42 / /s/docker/data/overlay2/a/merged/deep\\040er rw - tmpfs tmpfs rw
43 22 0:43 / /state rw - tmpfs tmpfs rw
"""
STAY = "import sys; print('up', flush=True); sys.stdin.read()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + STAY


def start(mark: str, code: str) -> "subprocess.Popen[str]":
    environment = {**os.environ, MARK_VARIABLE: mark}
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    assert child.stdout
    assert child.stdout.readline() == "up\n"
    return child


def test_mounts_are_found_below_the_folder_only_and_the_deepest_first() -> None:
    assert mounts_below(Path("/s"), MOUNTS) == [
        "/s/docker/data/overlay2/a/merged/deep er",
        "/s/docker/data/overlay2/a/merged",
        "/s/docker/exec/netns/x",
    ]


def test_process_whose_root_is_an_overlay_of_the_folder_is_a_container_of_ours() -> None:
    inside = "50 49 0:50 / / rw - overlay overlay rw,lowerdir=/s/docker/data/overlay2/l/X,upperdir=/s/u\n"
    assert _root_is_below(inside, Path("/s"))
    assert not _root_is_below(inside, Path("/other"))
    assert not _root_is_below(MOUNTS, Path("/s"))  # the machine's own view has such mounts, too, but not at /


def test_processes_of_one_sandbox_are_ended_and_those_of_another_are_not(tmp_path: Path) -> None:
    ours, stubborn, other = (
        start(str(tmp_path), STAY),
        start(str(tmp_path), STUBBORN),
        start(f"{tmp_path}2", STAY),
    )
    try:
        assert set(processes_of(tmp_path)) == {ours.pid, stubborn.pid}
        assert end_processes(tmp_path, patience_s=0.3) == 2
        assert {ours.wait(5), stubborn.wait(5)} == {-15, -9}
        assert other.poll() is None
        assert end_processes(tmp_path) == 0
    finally:
        for child in (ours, stubborn, other):
            child.kill()
            child.communicate()


def test_sandbox_whose_supervisor_is_dead_is_told_from_a_living_one(tmp_path: Path) -> None:
    dead, alive = start(f"{tmp_path}/dead", STAY), start(f"{tmp_path}/alive", STAY)
    conf = f"{tmp_path}/alive/supervisor/supervisord.conf"
    environment = {**os.environ, MARK_VARIABLE: f"{tmp_path}/alive"}
    supervisor = subprocess.Popen(
        [sys.executable, "-c", "input()", "-c", conf], stdin=subprocess.PIPE, env=environment
    )
    try:
        found = sandboxes()
        assert found[tmp_path / "dead"] is None
        assert found[tmp_path / "alive"] == supervisor.pid
    finally:
        for child in (dead, alive, supervisor):
            child.kill()
            child.communicate()


def test_container_tells_its_sandbox_and_a_strangers_container_tells_none() -> None:
    state = Path("/home/me/state")
    root = (
        f"50 49 0:50 / / rw - overlay overlay rw,lowerdir={state}/docker/data/overlay2/l/X:/y,upperdir=/z\n"
    )
    assert container_of(f"4:memory:/{cgroup_name(state)}-docker/0123\n", root) == state
    assert container_of("4:memory:/docker/0123\n", root) is None
    assert container_of(f"4:memory:/{cgroup_name(Path('/other'))}-docker/0123\n", root) is None


def test_rest_of_an_ended_command_is_ended_and_apts_programs_are_not(tmp_path: Path) -> None:
    environment = {**os.environ, MARK_VARIABLE: "none"}
    children = {
        mark: subprocess.Popen(
            [sys.executable, "-c", STAY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**environment, SETUP_VARIABLE: mark},
        ) for mark in (str(tmp_path), f"{tmp_path}2", "apt")
    }  # fmt: skip
    try:
        for child in children.values():
            assert child.stdout
            assert child.stdout.readline() == "up\n"
        assert set(rest_of_command(tmp_path)) == {children[str(tmp_path)].pid}
        assert end_rest_of_command(tmp_path) == 1
        assert children["apt"].poll() is None
        assert children[f"{tmp_path}2"].poll() is None
    finally:
        for child in children.values():
            child.kill()
            child.communicate()


def test_what_has_a_network_of_its_own_is_another_machine(tmp_path: Path) -> None:
    elsewhere = subprocess.Popen(
        ["unshare", "--net", sys.executable, "-c", STAY, "-c", f"{tmp_path}/supervisor/supervisord.conf"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, MARK_VARIABLE: str(tmp_path)},
    )  # fmt: skip
    try:
        assert elsewhere.stdout
        assert elsewhere.stdout.readline() == "up\n"
        assert processes_of(tmp_path) == {}
        assert tmp_path not in sandboxes()
    finally:
        elsewhere.kill()
        elsewhere.communicate()
