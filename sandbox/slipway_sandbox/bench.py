"""How long a push takes, measured on the running sandbox: `python -m slipway_sandbox.bench [--pushes N] [--json]`.

Each push is a new commit of the same tree: sources and dependencies are there, gates, image, deployment and verification
run. Seconds depend on the machine; the ratios are the share of the time in which at least one task was at work (the rest
is Airflow's and ours), and how much of the tasks' work ran side by side.
"""

from __future__ import annotations

import json
import statistics
import time
from datetime import datetime

import click

from slipway_sandbox import bursts, idle
from slipway_sandbox.lifecycle import Progress, open_sandbox
from slipway_sandbox.project import NAME, Project, Pushed


def _intervals(pushed: Pushed) -> list[tuple[float, float]]:
    ran = [
        task for task in pushed.tasks.values() if task["start_date"] and task["end_date"] and task["duration"]
    ]
    return sorted(
        (
            datetime.fromisoformat(task["start_date"]).timestamp(),
            datetime.fromisoformat(task["end_date"]).timestamp(),
        )
        for task in ran
    )


def working_share(pushed: Pushed) -> tuple[float, float]:
    """Give the share of the run in which a task was at work, and the tasks' time as a multiple of the run's."""
    intervals = _intervals(pushed)
    covered, end = 0.0, intervals[0][0]
    for start, stop in intervals:
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    whole = end - datetime.fromisoformat(pushed.run["queued_at"]).timestamp()
    return covered / whole, sum(stop - start for start, stop in intervals) / whole


QUIET_S = 60
"""Seconds before the first push over which it is measured what the control plane costs while nothing is to do."""

KINDS = ("new source", "known source")
"""A commit whose files no gate has seen, and one with the same files again, whose verdicts are on record."""


def _pushed(project: Project, kind: str, number: int) -> dict[str, float]:
    """Push one commit and give its figures."""
    if kind == "new source":
        commit = project.commit(f"Bench {number}", files={"BENCH": f"{number} {time.time_ns()}\n"})
    else:
        commit = project.clone.commit(f"Bench {number} once more")
    start = time.monotonic()
    said = project.clone.push()
    took = time.monotonic() - start
    pushed = project.follow(commit, said)
    if pushed.state != "success":
        raise click.ClickException(f"{commit} was not released: {pushed.release.reason}")
    share, parallel = working_share(pushed)
    click.echo(f"{kind} {commit[:12]} healthy in {pushed.seconds_to_healthy:.1f} s", err=True)
    return {
        "git push, hook included (s)": took,
        "push -> first task running (s)": pushed.seconds_to_start,
        "push -> healthy (s)": pushed.seconds_to_healthy,
        "share of the time in which tasks work": share,
        "tasks' time / run's time": parallel,
    }


@click.command()
@click.option("--pushes", default=5, show_default=True, help="How many pushes of each kind.")
@click.option("--burst", default=0, help="Instead: so many pushes to one service, one after the other.")
@click.option("--services", default=0, help="Instead: 5 pushes to each of so many services within a minute.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def bench(pushes: int, burst: int, services: int, as_json: bool) -> None:
    """Push new and known source in turn, wait until healthy; print minimum, median and maximum of each figure.

    With `--burst` or `--services`, measure many pushes at once instead.
    """
    sandbox = open_sandbox(progress=Progress(quiet=True))
    folder, once = sandbox.layout.state / "bench", dict[str, float]()
    if burst:
        once |= bursts.burst(sandbox, folder, burst)
    if services:
        once |= bursts.side_by_side(sandbox, folder, services, 5 * services)
    if once:
        rounded = {name: round(value, 2) for name, value in once.items()}
        lines = [f"{name:<56} {value:>7}" for name, value in rounded.items()]
        click.echo(json.dumps(rounded, indent=1) if as_json else "\n".join(lines))
        return
    project = Project(sandbox, sandbox.layout.state / "bench" / NAME)
    project.configure()
    project.clone.clone()
    figures: dict[str, list[float]] = {}
    quiet = idle.shares(sandbox.supervisor, QUIET_S)
    for name, share in {**quiet, "control plane": sum(quiet.values())}.items():
        figures[f"idle: {name} (of a core)"] = [round(share, 3)]
        click.echo(f"idle: {name} {share:.3f} of a core", err=True)
    for number in range(1, pushes + 1):
        both = {kind: _pushed(project, kind, number) for kind in KINDS}
        for kind, found in both.items():
            for name, value in found.items():
                figures.setdefault(f"{kind}: {name}", []).append(round(value, 2))
        healthy = [found["push -> healthy (s)"] for found in both.values()]
        figures.setdefault("push -> healthy, known / new source", []).append(
            round(healthy[1] / healthy[0], 2)
        )
    spread = {
        name: {"min": min(values), "median": statistics.median(values), "max": max(values)}
        for name, values in figures.items()
    }
    if as_json:
        click.echo(json.dumps(spread, indent=1))
    else:
        for name, row in spread.items():
            click.echo(f"{name:<56} {row['min']:>7} {row['median']:>7} {row['max']:>7}   (min, median, max)")


if __name__ == "__main__":
    bench()
