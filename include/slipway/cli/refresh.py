"""`slipway refresh`: what the nightly refresh did, and starting it by hand."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from slipway.cli.answers import json_option
from slipway.cli.releases import open_ledger, plain
from slipway.cli.trigger import Watch, tell

if TYPE_CHECKING:
    from slipway.ledger.refreshes import Refreshed

DAG_ID = "staging_refresh"


@click.group()
def refresh() -> None:
    """Refresh what is deployed, and see what a refresh did."""


@refresh.command()
@click.argument("run_id", required=False)
@json_option("Print it as JSON.")
def show(run_id: str | None, as_json: bool) -> None:
    """Show the report of the newest refresh, or of RUN_ID."""
    from slipway.errors import CatalogError
    from slipway.ledger import refreshes

    with open_ledger() as ledger:
        found = refreshes.newest(ledger, run_id)
    if found is None:
        raise CatalogError(
            f"No refresh{f' {plain(run_id)}' if run_id else ''} is recorded.",
            code="refresh.not-recorded",
            remedy="`slipway refresh run` starts one; the schedule is in include/refresh.yaml.",
        )
    if as_json:
        click.echo(json.dumps(_plainly(found), indent=2))
        return
    click.echo(plain("\n".join(_lines(found))))


def _plainly(found: Refreshed) -> dict[str, Any]:
    return {
        **(found.report or {}),
        "run_id": found.run_id,
        "environment": found.environment,
        "status": found.status or "running",
        "started_at": found.started_at.isoformat(),
        "finished_at": found.finished_at.isoformat() if found.finished_at else None,
    }


def _lines(found: Refreshed) -> list[str]:
    from slipway.release.refresh import table

    began = f"{found.run_id}, begun {found.started_at:%Y-%m-%d %H:%M:%S} UTC"
    if found.report is None:
        return [f"refresh running: {began}"]
    lines = [*table(found.report), "", began]
    for service in found.report["services"]:
        for one in service["differences"]:
            lines += ["", f"{service['name']}:", *one["lines"]]
            lines += [f"changed by another: {owner}" for owner in one["owners"]]
    return lines


@refresh.command()
@click.option("--retention", help="What is kept, for this run only, as JSON: '{\"images\": 5}'.")
@click.option("--wait", is_flag=True, help="Wait for its end, and print its report.")
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(1), default=7200, show_default=True, help="Seconds to wait."
)
@click.pass_context
def run(ctx: click.Context, retention: str | None, wait: bool, timeout_s: int) -> None:
    """Start a refresh now.

    The account is SLIPWAY_AIRFLOW_USER (`hook`). Exit codes of --wait: 0 all is well, 1 something failed, 3 infrastructure did.
    """
    import os

    from slipway.catalog import Retention, retention_of
    from slipway.cli.airflow import Airflow
    from slipway.cli.settings import address
    from slipway.errors import CatalogError, Transient
    from slipway.ledger import refreshes

    try:
        asked = json.loads(retention) if retention else None
    except ValueError as error:
        raise CatalogError(
            f"--retention is not JSON: {error}.",
            code="refresh.retention-not-json",
            remedy='Such as {"images": 5}.',
        ) from error
    if asked is not None and not isinstance(asked, dict):
        raise CatalogError(
            "--retention is no JSON object.",
            code="refresh.retention-no-object",
            remedy='Such as {"images": 5}.',
        )
    retention_of(asked, Retention())
    airflow = Airflow(address("AIRFLOW_URL"), os.environ.get("SLIPWAY_AIRFLOW_USER") or "hook")
    run_id = f"manual__{datetime.now(UTC).isoformat(timespec='milliseconds')}"
    waits = airflow.startable(DAG_ID)
    airflow.trigger(DAG_ID, run_id, {"retention": asked} if asked else {})
    click.echo(f"{run_id} {'is accepted, and waits' if waits else 'started'}: {airflow.page(DAG_ID, run_id)}")
    tell(waits)
    if not wait:
        return
    end, watch = time.monotonic() + timeout_s, Watch(airflow, DAG_ID, waits)
    while (state := airflow.state(DAG_ID, run_id)) not in ("success", "failed"):
        why = watch.look()
        if time.monotonic() > end:
            raise Transient(
                f"{run_id} is still {state} after {timeout_s} s{why}.",
                code="run.not-ended",
                remedy=f"Look at {airflow.page(DAG_ID, run_id)}",
            )
        time.sleep(1)
    with open_ledger() as ledger:
        found = refreshes.newest(ledger, run_id)
    if found is None or found.report is None:
        raise Transient(
            f"{run_id} ended without a report.",
            code="refresh.report-missing",
            remedy=f"Look at {airflow.page(DAG_ID, run_id)}",
        )
    click.echo(plain("\n".join(_lines(found))))
    ctx.exit({"passed": 0, "failed": 1}.get(found.status or "", 3))
