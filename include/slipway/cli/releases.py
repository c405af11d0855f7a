"""`slipway releases`: what the ledger knows."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from slipway.cli.answers import json_option

if TYPE_CHECKING:
    from datetime import datetime

    from slipway.ledger import Ledger, Release
    from slipway.ledger.rollbacks import Rollback

_COLOURS = {
    "passed": "green",
    "running": "cyan",
    "skipped": "dim",
    "superseded": "yellow",
    "unchanged": "dim",
}


@contextmanager
def open_ledger() -> Iterator[Ledger]:
    """Gives the ledger, for as long as the body runs."""
    from slipway.cli.settings import ledger_url
    from slipway.ledger import Ledger

    ledger = Ledger(ledger_url())
    try:
        yield ledger
    finally:
        ledger.close()


def plain(value: object) -> str:
    """Gives text that a terminal shows and never obeys: reasons hold words of pushed code."""
    text = "" if value is None else str(value)
    return "".join(
        sign if sign.isprintable() or sign == "\n" else "\N{REPLACEMENT CHARACTER}" for sign in text
    )


def _text(value: object, style: str = "") -> Any:
    from rich.text import Text

    return Text(plain(value), style=style)


def _status(value: str) -> Any:
    return _text(value.replace("_", " "), _COLOURS.get(value, "red"))


def _console() -> Any:
    from rich.console import Console

    # what is piped into a file or another program is not cut to the width of a terminal
    return Console(highlight=False, width=None if sys.stdout.isatty() else 2_000)


def _table(headings: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Any:
    """Gives a table with one line for each row, of which a narrow terminal cuts the last column only: why."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in headings:
        justify: Any = "right" if heading == "SECONDS" else "left"
        table.add_column(heading, justify=justify, no_wrap=heading != headings[-1])
    for row in rows:
        row[-1].truncate(200, overflow="ellipsis")
        # a column that may wrap is the one that gives way; its text does not make use of that
        row[-1].no_wrap, row[-1].overflow = True, "ellipsis"
        table.add_row(*row)
    return table


def first_line(found: Release) -> str:
    """Gives where and why a release ended, in one line; nothing if it went well."""
    why = next(iter((found.reason or "").splitlines()), "")
    if found.superseded_by and found.superseded_by not in why:
        why = f"superseded by {found.superseded_by}" + (f": {why}" if why else "")
    return why if not found.stage or why.startswith(found.stage) else f"{found.stage}: {why}".rstrip(": ")


def page(found: Release, task: str | None = None) -> str | None:
    """Gives the run's page in Airflow's UI, or that of one of its tasks; None if it is unknown where Airflow is."""
    from slipway.cli.settings import address
    from slipway.errors import CatalogError

    try:
        base = f"{address('AIRFLOW_URL')}/dags/release_{found.service.replace('-', '_')}"
    except CatalogError:
        return None
    return f"{base}/runs/{quote(found.run_id)}" + (f"/tasks/{quote(task)}" if task else "")


def _short(found: Release) -> str:
    """Gives the commit, and which repeat of it this is: what `show` takes."""
    repeat = found.run_id.removeprefix(f"{found.service}.{found.commit[:12]}")
    return found.commit[:12] + (repeat if repeat.startswith(".r") else "")


def _seconds(release: Release) -> str:
    return f"{(release.finished_at - release.started_at).total_seconds():.0f}" if release.finished_at else ""


def recorded(ledger: Ledger, service: str, commit: str | None) -> Release:
    """Gives the newest release of a service, or that of a commit: a prefix is enough, COMMIT.r1 is its first repeat.

    :raises CatalogError: if there is none.
    """
    from slipway.errors import CatalogError

    if commit and "." in commit:
        found = ledger.record(f"{service}.{commit.removeprefix(f'{service}.')}")
    else:
        found = ledger.release(service, commit)
    if not found:
        raise CatalogError(
            f"No release of {plain(service)}{f' at {plain(commit)}' if commit else ''} is recorded.",
            code="release.not-recorded",
            remedy=f"`slipway releases list {plain(service)}` shows those that are.",
        )
    return found


@click.group()
def releases() -> None:
    """Look at the releases of a service."""


@releases.command("list")
@click.argument("service")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="At most so many, newest first.",
)
@json_option("Print them as a JSON list, each as `show --json` does.")
def list_(service: str, limit: int, as_json: bool) -> None:
    """List the newest releases of SERVICE."""
    with open_ledger() as ledger:
        found = ledger.releases(service, limit)
    if as_json:
        click.echo(json.dumps([one.show() for one in found], indent=2))
        return
    if not found:
        click.echo(f"No release of {plain(service)} is recorded.")
        return
    rows = [
        (
            _text(_short(one)),
            _status(one.status.value),
            _text(f"{one.started_at:%m-%d %H:%M:%S}"),
            _text(_seconds(one)),
            _text(first_line(one)),
        )
        for one in found
    ]
    table = _table(("COMMIT", "STATUS", "STARTED (UTC)", "SECONDS", "WHY"), rows)
    _console().print(table)


@releases.command()
@click.argument("service")
@click.argument("commit", required=False)
@click.option("--plan", "with_plan", is_flag=True, help="Print what it was planned to change, too.")
@json_option("Print it as JSON: the words are a contract.")
def show(service: str, commit: str | None, with_plan: bool, as_json: bool) -> None:
    """Show the newest release of SERVICE, or that of COMMIT: a prefix is enough, COMMIT.r1 is its first repeat."""
    from slipway.ledger import rollbacks

    with open_ledger() as ledger:
        found = recorded(ledger, service, commit)
        held = ledger.held(
            found.service, found.environment, found.commit, found.config_revision, found.digest
        )
        undone = rollbacks.newest_from(ledger, found.run_id)
    if as_json:
        told = {**found.show(), "rollback": undone.show() if undone else None}
        click.echo(json.dumps(told, indent=2))
        return
    _print(found, held.held_at if held else None, undone)
    if with_plan and found.plan:
        from slipway.release.plan import words

        click.echo("\n" + plain("\n".join(words(found.plan))))


def _print(found: Release, held_at: datetime | None = None, undone: Rollback | None = None) -> None:
    from rich.table import Table

    console = _console()
    _lead(console, found)
    facts = Table.grid(padding=(0, 2))
    known = {
        "commit": found.commit,
        "environment": found.environment,
        "code": found.code,
        "run": found.run_id + (f", begun {found.attempts} times" if found.attempts > 1 else ""),
        "image": f"{found.image}@{found.digest}" if found.image and found.digest else None,
        "config": found.config_revision,
        "schema": " → ".join(
            dict.fromkeys(filter(None, (found.schema_revision_before, found.schema_revision)))
        ),
        "works with": f"from {found.works_from} on" if found.works_from else None,
        "started": f"{found.started_at:%Y-%m-%d %H:%M:%S} UTC",
        "took": f"{_seconds(found)} s" if found.finished_at else None,
        "plan": found.plan_hash and found.plan_hash[:12],
        "made by": found.made_by(),
        "superseded by": found.superseded_by,
        "rolled back to": found.rolled_back_to,
        "by hand": undone.words() if undone else None,
        "held": f"since {held_at:%Y-%m-%d %H:%M:%S} UTC: nothing deploys it until "
        f"`slipway holds release {found.service} {found.commit[:12]}`"
        if held_at
        else None,
    }
    for name, value in known.items():
        if value:
            facts.add_row(_text(name, "dim"), _text(value))
    rows = [
        (
            _text(one.name),
            _status(one.outcome.value),
            _text(f"{one.seconds:.1f}"),
            _text(next(iter((one.reason or "").splitlines()), "")),
        )
        for one in found.stages
    ]
    stages = _table(("STAGE", "OUTCOME", "SECONDS", "WHY"), rows)
    console.print("", facts, sep="\n")
    if found.stages:
        console.print("", stages, sep="\n")


def _lead(console: Any, found: Release) -> None:
    """Prints the one message: what became of the release, why, the useful lines, and how to go on."""
    from slipway.release import advice

    title = _text(f"{found.service} {found.commit[:12]} ", "bold") + _status(found.status.value)
    if found.superseded_by:
        title += _text(f" by {found.superseded_by}")
    if found.stage:
        title += _text(f" at {found.stage}")
    console.print(title)
    if found.reason:
        console.print(_text(found.reason))
    steps = advice(found.service, found.commit, found.status, found.stage, found.superseded_by)
    for step in steps:
        console.print(_text(f"How to go on: {step}"))
    if steps and (at := page(found, found.stage)):
        console.print(_text(f"In Airflow: {at}"))
