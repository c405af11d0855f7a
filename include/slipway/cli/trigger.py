"""`slipway release`: starts a release by hand, as the post-receive hook does."""

from __future__ import annotations

import json
import os
from itertools import count
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from slipway.cli.airflow import Airflow


@click.command()
@click.argument("service")
@click.argument("commit", required=False)
@click.option(
    "--again", is_flag=True, help="Release a commit that was released already once more, as a run of its own."
)
@click.option("--wait", is_flag=True, help="Wait for its end; exit 1 if it failed, 3 if infrastructure did.")
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(1), default=3600, show_default=True, help="Seconds to wait."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was started as JSON.")
@click.pass_context
def release(
    ctx: click.Context,
    service: str,
    commit: str | None,
    again: bool,
    wait: bool,
    timeout_s: int,
    as_json: bool,
) -> None:
    """Start the release of COMMIT of SERVICE, or of its branch's head.

    The run id comes from both, so that a repeat starts nothing twice. The account is SLIPWAY_AIRFLOW_USER
    (`hook`), its password the file airflow-<account> in SLIPWAY_CREDENTIALS.
    """
    from slipway.catalog import load_catalog
    from slipway.cli.airflow import Airflow
    from slipway.cli.settings import address, credential
    from slipway.errors import CatalogError
    from slipway.release import run_id, short

    catalog = load_catalog()
    if service not in catalog:
        raise CatalogError(
            f"The catalog has no service `{service}`.", remedy=f"It has: {', '.join(catalog) or 'none'}."
        )
    entry = catalog[service]
    if commit:
        short(commit)  # refuses an abbreviation before anything is asked of anyone
    else:
        commit = _head(entry.source.url(address("GIT_URL")), entry.source.branch)
    account = os.environ.get("SLIPWAY_AIRFLOW_USER", "hook")
    airflow = Airflow(address("AIRFLOW_URL"), account, credential(f"airflow-{account}"))
    conf = {"service": service, "commit": commit, "ref": f"refs/heads/{entry.source.branch}"}
    for repeat in count():
        run = run_id(service, commit, repeat)
        if (started := airflow.trigger(entry.dag_id, run, conf)) or not again:
            break
    page = airflow.page(entry.dag_id, run)
    if not as_json:
        click.echo(f"{run} {'started' if started else 'is known already, nothing is started twice'}: {page}")
    told = {"run_id": run, "dag_id": entry.dag_id, **conf, "started": started, "url": page}
    code = 0
    if wait:
        told["status"], code = _follow(airflow, entry.dag_id, run, timeout_s)
        if not as_json:
            click.echo(f"{run} {told['status']}")
    if as_json:
        click.echo(json.dumps(told, indent=2))
    ctx.exit(code)


def _head(url: str, branch: str) -> str:
    from pathlib import Path

    from slipway.adapters.git import Repository
    from slipway.cli.settings import credential

    account = os.environ.get("SLIPWAY_GIT_USER", "slipway")
    return Repository(url, account, credential(f"git-{account}"), Path(os.devnull)).head(branch)


def _follow(airflow: Airflow, dag_id: str, run: str, timeout_s: int) -> tuple[str, int]:
    """Waits for the run's end. Gives the status by the ledger (or by Airflow), and our exit code."""
    import time

    from slipway.cli.settings import ledger_url
    from slipway.errors import CatalogError, PolicyFailed, Transient
    from slipway.ledger import Ledger

    end = time.monotonic() + timeout_s
    while (state := airflow.state(dag_id, run)) not in ("success", "failed"):
        if time.monotonic() > end:
            raise Transient(
                f"{run} is still {state} after {timeout_s} s.", remedy=f"Look at {airflow.page(dag_id, run)}"
            )
        time.sleep(1)
    if state == "success":
        return "passed", 0
    try:
        recorded = Ledger(ledger_url()).record(run)
    except CatalogError:  # no ledger is named here: Airflow's word must do
        return state, PolicyFailed.exit_code
    if recorded is None:
        return state, Transient.exit_code
    return recorded.status.value, 3 if recorded.status.value in (
        "errored",
        "running",
    ) else PolicyFailed.exit_code
