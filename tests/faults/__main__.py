"""`make faults`: make every fault, hold what is seen against what is wanted, and print the table.

Exit codes as everywhere: 0 all as wanted, 1 one is not, 2 usage, 3 the sandbox does not do its job.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pkgutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import click

import faults
from faults.case import Case, Seen, compare
from faults.scene import Scene
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.lifecycle import Progress, open_sandbox
from slipway_sandbox.project import NAME, Project
from slipway_sandbox.run import wait_until
from slipway_sandbox.runs import Airflow

SECTIONS = ("service", "platform", "caller", "resume", "deploy", "setup")
SIDE_BY_SIDE = 3


@dataclass(frozen=True)
class Result:
    """A case that was made: what was seen, where that differs from what is wanted, and how the next push went."""

    case: Case
    seen: Seen
    differences: tuple[str, ...]
    next_push: str = ""


def cases() -> tuple[Case, ...]:
    """Give all cases, in the order of the sections."""
    found: list[Case] = []
    for module in pkgutil.iter_modules(faults.__path__):
        if module.name != "__main__":
            loaded = importlib.import_module(f"{faults.__name__}.{module.name}")
            found += getattr(loaded, "CASES", ())
    return tuple(sorted(found, key=lambda case: SECTIONS.index(case.section)))


def made(case: Case, scene: Scene) -> Result:
    """Make one case; what breaks while it is made is a difference, too."""
    try:
        seen = case.act(scene)
    except Exception as error:
        seen = Seen(None, "broken", "")
        return Result(case, seen, (f"the case itself broke: {type(error).__name__}: {error}",))
    return Result(case, seen, tuple(compare(case, seen)))


def batches(chosen: Sequence[Case]) -> Iterator[list[Case]]:
    """Give the cases in batches: gate-level pushes of the service side by side, everything else alone."""
    together: list[Case] = []
    for case in chosen:
        if case.section == "service" and not case.deploys:
            together.append(case)
        if together and (len(together) == SIDE_BY_SIDE or case is not together[-1]):
            yield together
            together = []
        if case.section != "service" or case.deploys:
            yield [case]
    if together:
        yield together


def releasing_every_commit(entry: str) -> str:
    """Give a service's catalog file with the word by which it releases every commit."""
    return f"{entry.rstrip()}\nqueue: every-commit\n"


@contextmanager
def every_commit(scene: Scene) -> Iterator[None]:
    """Let the service release every commit: of pushes side by side only the newest would be gated."""
    entry = scene.sandbox.layout.checkout / f"include/services/{NAME}.yaml"
    text, airflow = entry.read_text(), Airflow(scene.sandbox)

    def tagged() -> bool:
        found = airflow.call("GET", f"/api/v2/dags/{scene.dag_id}").json()["tags"]
        return any(one["name"] == "queue:every-commit" for one in found)

    entry.write_text(releasing_every_commit(text))
    try:
        wait_until(lambda: None if tagged() else "not known yet", 90, "every commit to be released")
        yield
    finally:
        entry.write_text(text)
        wait_until(lambda: "not known yet" if tagged() else None, 90, "the newest alone to be released")


def run(chosen: Sequence[Case], scene: Scene, *, is_sparing: bool = False) -> Iterator[Result]:
    """Make the cases; after each that deploys, and after the last that does not, a good push must pass.

    :param is_sparing: whether the new release that passes at the end of a later case is that push for those before it.
    """
    waiting: list[Result] = []
    groups = list(batches(chosen))
    for number, group in enumerate(groups):
        with (
            every_commit(scene) if len(group) > 1 else nullcontext(),
            ThreadPoolExecutor(SIDE_BY_SIDE) as pool,
        ):
            results = list(pool.map(lambda case: made(case, scene), group))
        for result in results:
            _tell(result)
        recovered = [one.case.name for one in results if one.case.recovers and not one.differences]
        if is_sparing and recovered:
            yield from (dataclasses.replace(one, next_push=f"passed in {recovered[0]}") for one in waiting)
            waiting = []
        waiting += results
        is_last = number + 1 == len(groups)
        if is_last or (not is_sparing and (group[0].deploys or groups[number + 1][0].deploys)):
            yield from _followed(waiting, scene)
            waiting = []


def _followed(results: Iterable[Result], scene: Scene) -> Iterator[Result]:
    try:
        word = f"passed in {scene.good_push():.0f} s"
    except SandboxError as error:
        word = f"NOT: {error}"
    click.echo(f"  next push: {word}", err=True)
    for result in results:
        more = () if word.startswith("passed") else (f"the next push: {word}",)
        yield dataclasses.replace(result, next_push=word, differences=(*result.differences, *more))


def _tell(result: Result) -> None:
    seen = result.seen
    mark = "NOT AS WANTED" if result.differences else "as wanted"
    click.echo(f"{result.case.name}: {mark} ({seen.outcome} at {seen.stage}, {seen.seconds:.0f} s)", err=True)
    for line in seen.message.splitlines()[:8]:
        click.echo(f"    {line}", err=True)
    for difference in result.differences:
        click.echo(f"  ! {difference}", err=True)


def table(results: Iterable[Result]) -> str:
    """Give the table of Markdown that the results make."""
    rows = [
        "| case | stage | outcome | message's first line | published? | held? | next push |",
        "|" + "---|" * 7,
    ]
    for one in results:
        seen = one.seen
        cells = (
            one.case.name + (" (!)" if one.differences else ""),
            seen.stage or "–",
            seen.outcome,
            seen.first_line,
            "yes" if seen.published else "no",
            ", ".join(seen.held) or "no",
            one.next_push,
        )
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def matrix(results: Iterable[Result]) -> str:
    """Give the table of tasks and of what disturbed them: ✓ if the release converged, ! if it did not; empty without."""
    disturbed = [one for one in results if one.seen.met]
    if not disturbed:
        return ""
    tasks = list(dict.fromkeys(task for one in disturbed for task in one.seen.met))
    names = [one.case.name.removeprefix("deploy-") for one in disturbed]
    rows = ["", f"| task | {' | '.join(names)} |", "|" + "---|" * (len(names) + 1)]
    for task in tasks:
        cells = [("!" if one.differences else "✓") if task in one.seen.met else "–" for one in disturbed]
        rows.append(f"| {task} | {' | '.join(cells)} |")
    return "\n".join(rows)


@click.command()
@click.option("--section", type=click.Choice(SECTIONS), help="Only this section.")
@click.option("--case", "names", multiple=True, help="Only this case; may be repeated.")
@click.option("--fast", is_flag=True, help="Only the few that `make test` makes.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON, not as a table.")
def main(section: str | None, names: tuple[str, ...], fast: bool, as_json: bool) -> None:
    """Make faults on the running sandbox, and see that each ends as it must."""
    known = cases()
    if unknown := sorted(set(names) - {case.name for case in known}):
        raise click.UsageError(f"no case {', '.join(unknown)}; there are: {', '.join(c.name for c in known)}")
    chosen = [
        case
        for case in known
        if section in (None, case.section) and (not names or case.name in names) and (case.fast or not fast)
    ]
    # ended from outside, too, a case must mend what it broke
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    start = time.monotonic()
    scene = opened()
    results = list(run(chosen, scene))
    if as_json:
        rows = [
            {"case": one.case.name, "section": one.case.section, "next_push": one.next_push}
            | {"differences": one.differences, **dataclasses.asdict(one.seen)}
            for one in results
        ]
        click.echo(json.dumps(rows, indent=1))
    else:
        click.echo(table(results))
        click.echo(matrix(results))
    wrong = sum(bool(one.differences) for one in results)
    click.echo(f"{len(results)} cases in {time.monotonic() - start:.0f} s, {wrong} not as wanted", err=True)
    sys.exit(1 if wrong else 0)


def opened() -> Scene:
    """Give the scene on the running sandbox, with the deployment configured as in examples/."""
    sandbox = open_sandbox(progress=Progress(quiet=True))
    project = Project(sandbox, sandbox.layout.state / "faults" / NAME)
    project.clone.clone()
    project.configure()
    return Scene(project)


if __name__ == "__main__":
    try:
        main()
    except SandboxError as error:
        print(f"faults: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
