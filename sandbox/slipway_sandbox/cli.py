"""`slipway sandbox`: the real parts on this machine."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from slipway_sandbox.graph import Step
from slipway_sandbox.layout import SandboxError
from slipway_sandbox.lifecycle import Progress, choose, down, open_sandbox, parts_of, status, up
from slipway_sandbox.part import Part
from slipway_sandbox.publish import exports


def _reports_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except SandboxError as error:
            click.echo(f"slipway sandbox: {error}", err=True)
            sys.exit(error.exit_code)

    return wrapped


@click.group()
def sandbox() -> None:
    """Run every real part that Slipway works with on this machine.

    State lies in SLIPWAY_STATE, what is built in SLIPWAY_CACHE.
    Exit codes: 0 done, 2 usage, 3 a part does not work.
    """


def _table(steps: list[Step]) -> str:
    width = max([len(step.name) for step in steps], default=4)
    return "\n".join(f"  {step.name:<{width}}  {step.outcome:<9}  {step.seconds:6.1f} s" for step in steps)


def _failures(steps: list[Step], parts: dict[str, Part]) -> list[str]:
    found = []
    for step in steps:
        if step.error:
            what = (
                str(step.error)
                if isinstance(step.error, SandboxError)
                else f"{type(step.error).__name__}: {step.error}"
            )
            own = step.name in parts and not parts[step.name].is_external
            log = parts[step.name].log_tail() if own else ""
            found.append(
                f"{step.name} failed: {what}\n{log}\n"
                "What to do: mend it (`slipway sandbox logs PART` shows more), and run "
                "`slipway sandbox up` again; it goes on where it stopped."
            )
    return found


@sandbox.command("up")
@click.argument("parts", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print how each part went as JSON.")
@_reports_errors
def up_command(parts: tuple[str, ...], as_json: bool) -> None:
    """Bring up PARTS with what they need (all, if none is named). Safe to repeat: what runs is left alone."""
    start = time.monotonic()
    opened = open_sandbox(progress=Progress())
    steps = up(opened, parts)
    failures = _failures(steps, parts_of(opened))
    if as_json:
        click.echo(json.dumps([
            {"part": step.name, "outcome": step.outcome, "seconds": round(step.seconds, 2),
             "error": str(step.error) if step.error else None} for step in steps
        ], indent=1))  # fmt: skip
    else:
        click.echo(_table(steps) + f"\n  in all {time.monotonic() - start:.1f} s", err=True)
    for text in failures:
        click.echo(text, err=True)
    if failures:
        sys.exit(3)
    if not as_json and any(step.name == "airflow" for step in steps):
        click.echo(
            f"Airflow: {opened.airflow_url} (admin, password in {opened.layout.credentials}/airflow-admin)",
            err=True,
        )


@sandbox.command("down")
@click.argument("parts", nargs=-1)
@_reports_errors
def down_command(parts: tuple[str, ...]) -> None:
    """Stop PARTS, or everything, and take away what they put on the machine.

    Data stays in the state folder.
    """
    start = time.monotonic()
    opened = open_sandbox(progress=Progress())
    steps = down(opened, parts)
    click.echo(_table(steps) + f"\n  in all {time.monotonic() - start:.1f} s", err=True)
    if failures := _failures(steps, parts_of(opened)):
        for text in failures:
            click.echo(text, err=True)
        sys.exit(3)


@sandbox.command("restart")
@click.argument("part")
@_reports_errors
def restart_command(part: str) -> None:
    """Stop one PART and bring it up again."""
    opened = open_sandbox(progress=Progress())
    for action in (down, up):
        steps = action(opened, (part,))
        if failures := _failures(steps, parts_of(opened)):
            raise SandboxError("\n".join(failures))


@sandbox.command("status")
@click.option("--json", "as_json", is_flag=True)
@_reports_errors
def status_command(as_json: bool) -> None:
    """Tell of each part whether it runs and works, and where. Exit 3 if one does not."""
    found = status(open_sandbox(progress=Progress(quiet=True)))
    if as_json:
        click.echo(json.dumps(found, indent=1))
    else:
        for name, part in found.items():
            problem = f"  {part['problem']}" if part["problem"] else ""
            click.echo(f"{name:<11} {part['state']:<8}  {part['address']}{problem}")
            for process, state in part["processes"].items():  # type: ignore[attr-defined]
                if state != "running":
                    click.echo(f"  {process}: {state}")
    if any(part["state"] not in ("running", "external") for part in found.values()):
        sys.exit(3)


@sandbox.command("env")
@_reports_errors
def env_command() -> None:
    """Print shell exports of the parts' addresses: eval "$(slipway sandbox env)"."""
    click.echo(exports(open_sandbox(progress=Progress(quiet=True))))


@sandbox.command("logs")
@click.argument("part")
@click.option("-n", "--lines", default=40, show_default=True, help="Lines of each log.")
@_reports_errors
def logs_command(part: str, lines: int) -> None:
    """Print the last lines of the logs of PART's processes."""
    opened = open_sandbox(progress=Progress(quiet=True))
    chosen = choose(parts_of(opened), (part,), with_needs=False)[part]
    logs = [opened.layout.logs / f"{name}.log" for name in chosen.program_names()]
    logs += sorted(opened.layout.logs.glob(f"{part}-*.log"))
    logs += sorted((opened.layout.state / part / "logs").glob("*.log"))
    for path in dict.fromkeys(logs):
        if path.is_file():
            click.echo(f"--- {path}")
            with path.open(errors="replace") as stream:
                click.echo("".join(deque(stream, lines)), nl=False)


if __name__ == "__main__":
    sandbox()
