"""Containers of pushed code on a real engine."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from slipway.adapters import engine as adapter
from slipway.errors import PolicyFailed

INSIDE = """
import json, os, errno, ctypes, threading
def tried(call, *a):
    try:
        call(*a)
        return "allowed"
    except OSError as e:
        return errno.errorcode[e.errno]
status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
libc = ctypes.CDLL(None, use_errno=True)
found = {
    "uid": os.getuid(),
    "capabilities": [int(status[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"],
    "etc": tried(open, "/etc/x", "w"), "usr": tried(open, "/usr/bin/x", "w"), "home": tried(os.mkdir, "/app-x"),
    "chown": tried(os.chown, "/tmp", 0, 0), "setuid": tried(os.setuid, 0),
    "mount": "allowed" if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0
             else errno.errorcode[ctypes.get_errno()],
    "interfaces": sorted(os.listdir("/sys/class/net")),
}
threading.stack_size(65536)
started, stop = 0, threading.Event()
try:
    for _ in range(600):
        threading.Thread(target=stop.wait, daemon=True).start()
        started += 1
except RuntimeError:
    pass
found["threads"] = started
print(json.dumps(found), flush=True)
os._exit(0)
"""


def test_bounds_hold_inside_the_container(
    engine: Any, unique: str, python: str, script: Callable[..., Any]
) -> None:
    code, said = script(engine, unique, python, INSIDE)
    assert code == 0, said
    found = json.loads(said)
    assert found["uid"] == adapter.UID
    assert found["capabilities"] == [0] * 5
    assert found["no_new_privileges"] == "1"
    assert {found[k] for k in ("etc", "usr", "home")} == {"EROFS"}
    assert found["setuid"] == "EPERM"
    assert found["chown"] in ("EPERM", "EROFS")
    assert found["mount"] == "EPERM"
    assert found["interfaces"] == ["lo"]
    assert 400 < found["threads"] < 512  # each counts as a process


def test_memory_bound_kills(engine: Any, unique: str, python: str, script: Callable[..., Any]) -> None:
    code, _ = script(engine, unique, python, "x = bytearray(400 << 20); print(len(x))", memory="48m")
    assert code == 137


def test_older_container_of_the_same_name_is_replaced_and_removal_can_be_repeated(
    engine: Any, unique: str, python: str, script: Callable[..., Any]
) -> None:
    for text in ("one", "two"):
        assert script(engine, unique, python, f"print('{text}')") == (0, f"{text}\n")
    for _ in range(2):
        adapter.remove_container(engine, unique)
    assert not engine.containers(all=True, filters={"name": unique})


def test_wait_ends_a_container_that_does_not(engine: Any, unique: str, python: str) -> None:
    adapter.start(engine, unique, python, network_mode="none", command=["sleep", "300"])
    began = time.monotonic()
    assert adapter.wait_exit(engine, unique, 1) == 124
    assert time.monotonic() - began < 10
    assert engine.wait(unique, timeout=10)["StatusCode"] == 137


def test_exit_code_is_the_containers_own(
    engine: Any, unique: str, python: str, script: Callable[..., Any]
) -> None:
    assert script(engine, unique, python, "raise SystemExit(3)")[0] == 3


@pytest.mark.parametrize(
    ("command", "probe", "timeout_s", "says"),
    [
        # on a busy machine it does not end within a second
        (["python3", "-c", "raise SystemExit('no data folder')"], ["false"], 30, "ended by itself"),
        (
            ["sh", "-c", "echo no data folder; exec sleep 60"],
            ["sh", "-c", "echo refused; false"],
            1,
            "not ready after 1 s: refused",
        ),
    ],
    ids=["it ends", "it is never ready"],
)
def test_readiness_that_does_not_come_is_told_with_the_last_lines(
    engine: Any,
    unique: str,
    python: str,
    command: Sequence[str],
    probe: Sequence[str],
    timeout_s: float,
    says: str,
) -> None:
    adapter.start(engine, unique, python, network_mode="none", command=command)
    with pytest.raises(PolicyFailed, match=says) as caught:
        adapter.wait_until(engine, unique, probe, timeout_s)
    assert "no data folder" in str(caught.value)
