"""What the control plane costs while nothing is to do: CPU of Airflow's processes and of their database."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway_sandbox.supervisor import Supervisor

PROGRAMS = (
    "airflow-api-server",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "postgres",
)

_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_s(pids: set[int], proc: Path = Path("/proc")) -> float:
    """Give the CPU seconds of processes, of all below them that live, and of those that have ended and were waited for.

    What else the machine does is not in it, unlike in times by the clock.
    """
    parents, used = {}, {}
    for stat in proc.glob("[0-9]*/stat"):
        try:
            # the name, in brackets, may hold anything
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        pid = int(stat.parent.name)
        parents[pid], used[pid] = int(fields[1]), sum(map(int, fields[11:15]))
    return sum(ticks for pid, ticks in used.items() if pids & set(_line(pid, parents))) / _TICKS


def _line(pid: int, parents: dict[int, int]) -> list[int]:
    """Give a process and all that it comes of."""
    line = []
    while pid in parents and pid not in line:
        line.append(pid)
        pid = parents[pid]
    return line


def shares(supervisor: Supervisor, seconds: float) -> dict[str, float]:
    """Give for each program of the control plane which share of a core it used while that many seconds went by."""
    pids = {name: {int(one["pid"])} for name, one in supervisor.processes().items() if name in PROGRAMS}
    before, began = {name: cpu_s(pid) for name, pid in pids.items()}, time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    return {name: (cpu_s(pid) - before[name]) / took for name, pid in pids.items()}
