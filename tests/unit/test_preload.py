"""The heavy imports happen only in a process that forks tasks."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from slipway.preload import preload


@pytest.mark.parametrize(
    "argv", [["airflow", name] for name in ("api-server", "dag-processor", "triggerer")] + [["pytest"], []]
)
def test_other_processes_do_not_pay(argv: list[str]) -> None:
    assert preload(argv) is False


@pytest.mark.timeout(60)  # a process imports the providers
def test_who_forks_tasks_has_what_they_need() -> None:
    # a process of its own: what this one has imported says nothing
    program = (
        "import sys\n"
        "from slipway.preload import preload\n"
        "assert preload(['airflow', 'scheduler'])\n"
        "print(*(name in sys.modules for name in ('slipway.dag', 'slipway.stages.pod_run', 'kubernetes.client')))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert said.splitlines()[-1] == "True True True"


def test_what_was_forked_ends_with_the_process_that_forked_it() -> None:
    # a scheduler, a worker of it, a task of that: each tells its pid
    program = (
        "import os, sys, time\n"
        "from slipway.preload import end_with_parent\n"
        "end_with_parent()\n"
        "for _ in range(2):\n"
        "    if os.fork(): break\n"
        "os.write(1, b'%d\\n' % os.getpid())\n"  # at once, so that none comes between
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as scheduler:
        assert scheduler.stdout
        pids = [int(scheduler.stdout.readline()) for _ in range(3)]
        scheduler.kill()
        scheduler.wait()
        deadline = time.monotonic() + 5
        while (left := [pid for pid in pids if _runs(pid)]) and time.monotonic() < deadline:
            time.sleep(0.02)
    assert left == []


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
