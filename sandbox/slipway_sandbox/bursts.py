"""Many pushes at once, measured: to one service, and to many side by side."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.ledger import Ledger, Release
from slipway.release import Status, label
from slipway_sandbox.copies import copies
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.part import Sandbox
from slipway_sandbox.project import Project

if TYPE_CHECKING:
    from slipway_sandbox.developer import Developer

LIMIT_S = 1500.0


@dataclass(frozen=True)
class Asked:
    """A push: of which service, which commit, and when it was told."""

    service: str
    commit: str
    at: float


def _ledger(sandbox: Sandbox) -> Ledger:
    return Ledger((sandbox.layout.credentials / "ledger-url").read_text().strip())


def _ends(ledger: Ledger, pushes: Sequence[Asked], limit_s: float = LIMIT_S) -> dict[str, Release]:
    """Wait until the releases of all pushes have ended; give those that have begun, by commit."""
    end, found = time.monotonic() + limit_s, dict[str, Release]()
    while time.monotonic() < end:
        for push in pushes:
            known = found.get(push.commit)
            if known is None or known.status is Status.RUNNING:
                record = ledger.release(push.service, push.commit)
                found |= {push.commit: record} if record else {}
        if len(found) == len(pushes) and not any(one.status is Status.RUNNING for one in found.values()):
            break
        time.sleep(5)
    return found


def _lanes_left(ledger: Ledger, services: Sequence[str]) -> int:
    """Count the lanes of services that nobody has left though every run has ended."""
    with ledger.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT service FROM lanes").all()
    return sum(one in services for (one,) in rows)


def _healthy_s(push: Asked, release: Release) -> float:
    """Give the seconds from a push until the service was healthy with it."""
    [stage] = [one for one in release.stages if one.name == "verify.health"]
    return stage.started_at.timestamp() + stage.seconds - push.at


def _push(clone: Developer, service: str, commit: str) -> Asked:
    at = time.time()
    clone.push()
    return Asked(service, commit, at)


def burst(sandbox: Sandbox, folder: Path, number: int) -> dict[str, float]:
    """Push one commit alone, then so many within as many seconds, each with new source; give the figures."""
    project = Project(sandbox, folder / "burst")
    project.configure()
    project.clone.clone()
    ledger = _ledger(sandbox)
    try:
        alone = _push(project.clone, project.name, _new(project, "Alone"))
        healthy = _healthy_s(alone, _ends(ledger, [alone])[alone.commit])
        start, pushes = time.monotonic(), list[Asked]()
        for one in range(number):
            pushes.append(_push(project.clone, project.name, _new(project, f"Burst {one}")))
            time.sleep(max(0.0, start + 0.9 * (one + 1) - time.monotonic()))
        pushed = time.monotonic() - start
        ended = _ends(ledger, pushes)
        newest = ended[pushes[-1].commit]
        if newest.status is not Status.PASSED:
            raise SandboxError(f"the newest of the burst is {newest.status}: {newest.reason}")
        took = _healthy_s(pushes[-1], newest)
        return {
            "alone: push -> healthy (s)": healthy,
            f"burst of {number} (s)": pushed,
            "burst: newest push -> healthy (s)": took,
            "burst: newest / alone": took / healthy,
            "burst: containers and networks left": _left(sandbox, ended.values()),
            "burst: superseded": sum(one.status is Status.SUPERSEDED for one in ended.values()),
            "burst: gates that ran in superseded ones": sum(_gates(one) for one in list(ended.values())[:-1]),
        }
    finally:
        ledger.close()


def _left(sandbox: Sandbox, ended: Iterable[Release]) -> int:
    """Count the containers and networks of releases that have ended."""
    import docker

    client = docker.APIClient(base_url=sandbox.docker_host, version="auto", timeout=30)
    with closing(client):
        found = [one["Names"][0].lstrip("/") for one in client.containers(all=True)]
        found += [one["Name"] for one in client.networks()]
    prefixes = tuple(f"slipway-{label(one.run_id)}-" for one in ended)
    return sum(name.startswith(prefixes) for name in found)


def _new(project: Project, message: str) -> str:
    return project.commit(message, files={"BENCH": f"{message} {time.time_ns()}\n"})


def _gates(release: Release) -> int:
    groups = ("build.", "test.", "scan.")
    return sum(one.name.startswith(groups) and one.outcome == "passed" for one in release.stages)


def side_by_side(sandbox: Sandbox, folder: Path, services: int, pushes: int) -> dict[str, float]:
    """Push to many services in turn within a minute, known source; give the figures."""
    with copies(sandbox, services, folder) as found:
        ledger = _ledger(sandbox)
        try:
            first = [_push(one.clone, one.name, one.commit("Start")) for one in found]
            if bad := [
                one.reason for one in _ends(ledger, first).values() if one.status is not Status.PASSED
            ]:
                raise SandboxError(f"not every copy was released at first: {bad[0]}")
            start, told = time.monotonic(), list[Asked]()
            for number in range(pushes):
                one = found[number % services]
                told.append(_push(one.clone, one.name, one.clone.commit(f"Push {number}")))
                time.sleep(max(0.0, start + 60 / pushes * (number + 1) - time.monotonic()))
            pushed, ended = time.monotonic() - start, _ends(ledger, told)
            whole = time.monotonic() - start
            lanes = _lanes_left(ledger, [one.name for one in found])
        finally:
            ledger.close()
    good = {Status.PASSED, Status.SUPERSEDED}
    newest = {one.service: one for one in told}
    waits = sorted(
        _healthy_s(push, ended[push.commit])
        for push in newest.values()
        if push.commit in ended and ended[push.commit].status is Status.PASSED
    )
    expired = sum("has expired" in (stage.reason or "") for one in ended.values() for stage in one.stages)
    return {
        f"{pushes} pushes to {services} services (s)": pushed,
        "side by side: until all have ended (s)": whole,
        "side by side: lost": pushes - len(ended),
        "side by side: stuck": sum(one.status is Status.RUNNING for one in ended.values()),
        "side by side: ended badly": sum(
            one.status not in good and one.status is not Status.RUNNING for one in ended.values()
        ),
        "side by side: lanes expired": expired + lanes,
        "side by side: superseded": sum(one.status is Status.SUPERSEDED for one in ended.values()),
        "side by side: services healthy with their newest push": len(waits),
        "side by side: shortest wait of a service (s)": waits[0] if waits else float("nan"),
        "side by side: longest wait of a service (s)": waits[-1] if waits else float("nan"),
        "side by side: longest / shortest": waits[-1] / waits[0] if waits else float("nan"),
    }
