"""A sandbox that was killed, on a machine of its own: namespaces of network, mounts and processes, and an empty /run."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slipway_sandbox.leftovers import cgroup_name, remove_cgroup_of, remove_cgroups

CACHE = Path(os.environ.get("SLIPWAY_CACHE") or Path.home() / ".cache/slipway")
IMAGE = CACHE / "kubernetes/pause.tar"  # an image that needs no registry
PARTS = ("postgres", "vault", "git", "docker")
SCRIPT = r"""
set -u
SERVERS='supervisord|dockerd|containerd|postgres|nginx|fcgiwrap|bao server'
mount -t tmpfs tmpfs /run; ip link set lo up
sandbox() { SLIPWAY_STATE=$1 "$PYTHON" -m slipway_sandbox "${@:2}" 2>>"$1.log"; }
docker() { /usr/bin/docker -H "unix://$1/docker/docker.sock" "${@:2}" >/dev/null 2>>"$1.log"; }
containers() { pgrep -cx pause; }
machine() {
  echo "links $(ip -br link | awk '$1 != "lo" {print $1}' | tr '\n' ' ')"
  echo "rules $(iptables-save | grep -cE '^(:[A-Z0-9]+-|:DOCKER|-A )')"
  echo "mounts $(grep -cE " ($ONE|$TWO)/" /proc/self/mountinfo)"
  echo "processes $(pgrep -fc "$SERVERS")"
}
kill_all() { kill -9 $(pgrep -f "$SERVERS"); sleep 0.3; }

# set-ups that are ended before their time; the next goes on without a hand
ended() {
  SLIPWAY_STATE=$ONE "$PYTHON" -m faults.interrupt "$1" "$2" -- \
    env SLIPWAY_STATE="$ONE" "$PYTHON" -m slipway_sandbox up docker vault git >>"$ONE.log" 2>&1
  echo "ended at $1 $?"
}
ended engine TERM; ended initdb KILL; ended vault-storage KILL
sandbox "$ONE" up docker vault git; echo "first up $?"
docker "$ONE" load -i "$IMAGE"; docker "$ONE" network create trial
docker "$ONE" run -d --network trial singlenode.local/pause:1
echo "containers $(containers)"

sandbox "$TWO" up vault; echo "other refused $?"
grep -q "another sandbox is alive on this machine: state $ONE, " "$TWO.log"; echo "refused by name $?"

# another state folder's `down`, and a part from under which its folder is taken
sandbox "$TWO" down; echo "down beside it $?"
sandbox "$ONE" status --json >"$ONE.beside"; echo "links beside it $(ip -br link | grep -cE '^(k8s0|slipway0) ')"
rmdir /run/slipway/git; sandbox "$ONE" status --json >"$ONE.lost"
sandbox "$ONE" up docker vault git; echo "made whole $?"
sandbox "$ONE" status --json >"$ONE.whole"

kill_all
echo "containers after the kill $(containers)"
sandbox "$ONE" up docker vault git; echo "up again $?"
echo "containers after up $(containers)"
sandbox "$ONE" status --json >"$ONE.status"

docker "$ONE" run -d --network trial singlenode.local/pause:1
kill_all; rm -rf /run/slipway/sandbox.json
grep -oE " $ONE/docker/[^ ]+" /proc/self/mountinfo | tac | xargs -rn1 umount -l 2>/dev/null; rm -rf --one-file-system "$ONE"
sandbox "$TWO" up docker; echo "up of the other $?"
echo "containers of the dead one $(containers)"
sandbox "$TWO" down; echo "down $?"
machine
"""


@pytest.fixture
def told() -> Iterator[dict[str, Any]]:
    """What happened on that machine, by the script's own words."""
    folder = Path(tempfile.mkdtemp(prefix="slipway-", dir="/tmp"))
    one, two = folder / "one", folder / "two"
    environment = {
        **os.environ, "ONE": str(one), "TWO": str(two), "PYTHON": sys.executable, "IMAGE": str(IMAGE),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip
    script = folder / "script"
    script.write_text(SCRIPT)
    command = [
        "unshare",
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        "bash",
        str(script),
    ]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)
        found: dict[str, Any] = dict(line.rpartition(" ")[::2] for line in done.stdout.splitlines())
        logs = "\n".join(path.read_text() for path in sorted(folder.glob("*.log")))
        found["said"] = f"{done.stdout}\n{done.stderr}\n{logs}"
        for word in ("status", "beside", "lost", "whole"):
            status = folder / f"one.{word}"
            found[word] = json.loads(status.read_text() or "{}") if status.is_file() else {}
        yield found
    finally:
        # cgroups are the machine's, whatever the namespaces: those of the killed one would stay
        for state in (one, two):
            remove_cgroups(f"{cgroup_name(state)}-docker")
            remove_cgroup_of(state)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(300)
def test_killed_sandbox_comes_up_again_and_another_clears_what_is_left_of_it(told: dict[str, Any]) -> None:
    def says(**wanted: str) -> None:
        wanted = {key.replace("_", " "): value for key, value in wanted.items()}
        assert {key: told.get(key) for key in wanted} == wanted, told["said"]

    assert [told.get(f"ended at {moment}") for moment in ("engine", "initdb", "vault-storage")] == [
        "0"
    ] * 3, told["said"]
    says(first_up="0", containers="1")
    # what is done for another state folder touches nothing of it
    says(down_beside_it="0", links_beside_it="2", made_whole="0")
    states = {
        word: {part: told[word][part]["state"] for part in PARTS} for word in ("beside", "lost", "whole")
    }
    running = dict.fromkeys(PARTS, "running")
    assert states == {"beside": running, "lost": {**running, "git": "failing"}, "whole": running}, told[
        "said"
    ]
    says(other_refused="3", refused_by_name="0")
    # the same sandbox again: its container is gone, its data is not
    says(containers_after_the_kill="1", up_again="0", containers_after_up="0")
    for part in PARTS:
        assert told["status"][part]["state"] == "running", told["said"]
    # another one, when not even the dead one's folder is left
    says(up_of_the_other="0", containers_of_the_dead_one="0")
    says(down="0", rules="0", mounts="0", processes="0")
    assert "links \n" in told["said"]
