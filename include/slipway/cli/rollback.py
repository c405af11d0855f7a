"""`slipway rollback` and `slipway holds`: going back to an earlier release, and the commits that are held because of it."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import click

from slipway.cli.answers import json_option
from slipway.cli.releases import open_ledger, plain
from slipway.cli.trigger import Watch, full_commit, known_service, tell
from slipway.release import Outcome

DAG_ID = "rollback"


@click.command()
@click.argument("service")
@click.option(
    "--to",
    "to",
    metavar="COMMIT",
    help="The commit to return to: one that was good here; a prefix is enough.",
)
@click.option("--reason", help="Why, for those who read it later.")
@click.option("--no-wait", is_flag=True, help="Only start it.")
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(1), default=1200, show_default=True, help="Seconds to wait."
)
@json_option("Print what came of it as JSON.")
@click.pass_context
def rollback(
    ctx: click.Context,
    service: str,
    to: str | None,
    reason: str | None,
    no_wait: bool,
    timeout_s: int,
    as_json: bool,
) -> None:
    """Return SERVICE to the last good release that works with the schema its database has, or to COMMIT.

    Its own manifests are applied again, by digest, without a build. The commit that is left is held: nothing brings it
    back until `slipway holds release` lets it go, or a newer commit is pushed. Exit codes: 0 it serves, 1 nothing fits,
    2 usage, 3 infrastructure.
    """
    import os

    from slipway.cli.airflow import Airflow
    from slipway.cli.settings import address
    from slipway.errors import Transient
    from slipway.release import given

    entry = known_service(service)
    began = time.monotonic()
    commit = _good(service, to) if to else None
    airflow = Airflow(address("AIRFLOW_URL"), os.environ.get("SLIPWAY_AIRFLOW_USER") or "hook")
    run = f"{DAG_ID}.{service}.{datetime.now(UTC):%Y%m%dT%H%M%S.%f}"
    waits = airflow.startable(DAG_ID)
    airflow.trigger(DAG_ID, run, {"service": entry.service, "to": commit, "reason": reason})
    told: dict[str, Any] = {"run_id": run, "service": service, "url": airflow.page(DAG_ID, run)}
    if not as_json:
        click.echo(f"{run} {'is accepted, and waits' if waits else 'started'}: {told['url']}")
    tell(waits)
    if no_wait:
        if as_json:
            click.echo(json.dumps(told, indent=2))
        return
    watch = Watch(airflow, DAG_ID, waits)
    while (state := airflow.task_state(DAG_ID, run, given.Restored.by)) not in (
        "success",
        "failed",
        "upstream_failed",
    ):
        why = watch.look()
        if time.monotonic() - began > timeout_s:
            raise Transient(
                f"{run} is still {state or 'queued'} after {timeout_s} s{why}.",
                code="run.not-ended",
                remedy=f"Look at {told['url']}",
            )
        time.sleep(0.1)
    told["seconds"] = round(time.monotonic() - began, 1)
    code = 0
    if state == "success":
        if done := airflow.given(DAG_ID, run, given.Restored):
            told |= done.show()
        said = f"{service} serves commit {told['commit'][:12]} again ({told['to']}), healthy in {told['seconds']} s"
        if told["from"] == told["to"]:
            said = f"{service} serves {told['to']} already: nothing was done"
    else:
        ended = airflow.given(DAG_ID, run, given.Ended, of=given.Restored.by) or given.Ended(
            outcome=Outcome.ERRORED, reason="it was killed"
        )
        told |= ended.show()
        said = f"{run} {ended.outcome}: {ended.reason}"
        code = 1 if ended.outcome == Outcome.FAILED else 3
    click.echo(json.dumps(told, indent=2) if as_json else plain(said))
    ctx.exit(code)


def _good(service: str, text: str) -> str:
    """Gives the full hash of the good commit that a prefix names."""
    from slipway.errors import CatalogError

    with open_ledger() as ledger:
        good = {
            one.commit: one
            for environment in ("staging",)
            for one in ledger.good_ones(service, environment, 1000)
        }
    fitting = [commit for commit in good if commit.startswith(text.lower())]
    if len(fitting) == 1:
        return fitting[0]
    raise CatalogError(
        f"{len(fitting) or 'No'} commit{'s' if len(fitting) > 1 else ''} that {service} served well here: {plain(text)[:80]}….",
        code="rollback.target-unclear",
        remedy="These were, newest first:",
        lines=list(good)[:10],
    )


@click.group()
def holds() -> None:
    """See which commits are held, hold one, or let one go."""


@holds.command("list")
@click.argument("service", required=False)
@json_option("Print them as JSON.")
def list_(service: str | None, as_json: bool) -> None:
    """List the commits that are held, of SERVICE or of all."""
    with open_ledger() as ledger:
        found = ledger.holds(service)
    if as_json:
        rows = [
            {
                "service": one.service,
                "environment": one.environment,
                "commit": one.commit,
                "config_revision": one.config_revision or None,
                "digest": one.digest or None,
                "run_id": one.run_id,
                "reason": one.reason,
                "held_at": one.held_at.isoformat(),
            }
            for one in found
        ]
        click.echo(json.dumps(rows, indent=2))
        return
    if not found:
        click.echo("No commit is held.")
    for one in found:
        click.echo(
            plain(
                f"{one.service} {one.commit} held in {one.environment} since {one.held_at:%Y-%m-%d %H:%M} UTC: {one.reason}"
            )
        )


@holds.command()
@click.argument("service")
@click.argument("commit")
@click.option("--reason", required=True, help="Why, for those who read it later.")
@click.option("--environment", default="staging", show_default=True, help="Where.")
def add(service: str, commit: str, reason: str, environment: str) -> None:
    """Hold COMMIT of SERVICE: it is not deployed until it is let go."""
    commit = full_commit(known_service(service), commit)
    with open_ledger() as ledger:
        ledger.hold(service, environment, commit, reason)
    click.echo(f"{service} {commit} is held in {environment}")


@holds.command()
@click.argument("service")
@click.argument("commit")
@click.option("--environment", default="staging", show_default=True, help="Where.")
def release(service: str, commit: str, environment: str) -> None:
    """Let COMMIT of SERVICE go: it may be deployed again."""
    from slipway.errors import CatalogError

    with open_ledger() as ledger:
        here = [one.commit for one in ledger.holds(service, environment)]
        fitting = [one for one in here if one.startswith(commit.lower())]
        if len(fitting) != 1:
            raise CatalogError(
                f"{len(fitting) or 'no'} held commits of {plain(service)} begin with {plain(commit)[:80]}.",
                code="hold.commit-unclear",
                remedy="`slipway holds list` shows those that are held.",
                lines=here[:10],
            )
        ledger.let_go(service, environment, fitting[0])
    click.echo(
        f"{service} {fitting[0]} may be deployed again: `slipway release {service} {fitting[0][:12]} --again`"
    )
