"""`slipway release`: starts a release by hand, as the post-receive hook does."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from slipway.cli.answers import json_option

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from slipway.adapters.git import Repository
    from slipway.catalog import Service
    from slipway.catalog.service import Cloned
    from slipway.cli.airflow import Airflow
    from slipway.release.obstacles import Obstacle

MOST_REPEATS = 20
"""So many runs of a commit that Airflow has, and nobody asked for, are passed over by --again."""


@click.command()
@click.argument("service")
@click.argument("commit", required=False)
@click.option(
    "--again", is_flag=True, help="Release a commit that was released already once more, as a run of its own."
)
@click.option("--fresh", is_flag=True, help="Run every gate, also where its verdict is known.")
@click.option("--infra", is_flag=True, help="Run the playbook, also where it has not changed.")
@click.option(
    "--wait",
    is_flag=True,
    help="Wait for its end: exit 0 if it passed or a newer one went instead, 1 if it failed, 3 if infrastructure did.",
)
@click.option(
    "--timeout", "timeout_s", type=click.IntRange(1), default=3600, show_default=True, help="Seconds to wait."
)
@json_option("Print what was started as JSON.")
@click.pass_context
def release(
    ctx: click.Context,
    service: str,
    commit: str | None,
    again: bool,
    fresh: bool,
    infra: bool,
    wait: bool,
    timeout_s: int,
    as_json: bool,
) -> None:
    """Start the release of COMMIT of SERVICE, or of its branch's head.

    COMMIT is on the branch that the catalog releases; a prefix that fits one commit only is enough. What was asked for
    last is known, and started once; the head of a branch that has moved back since is a run of its own. The account is
    SLIPWAY_AIRFLOW_USER (`hook`), its password the file airflow-<account> in SLIPWAY_CREDENTIALS.
    """
    from slipway.cli.airflow import Airflow, refuse
    from slipway.cli.settings import address
    from slipway.release.obstacles import Effect, Obstacle

    entry = known_service(service)
    commit = full_commit(entry, commit)
    head = full_commit(entry, None)
    airflow = Airflow(address("AIRFLOW_URL"), os.environ.get("SLIPWAY_AIRFLOW_USER") or "hook")
    conf = {"service": service, "commit": commit, "ref": f"refs/heads/{entry.source.branch}"}
    given = {**conf, **({"fresh": True} if fresh else {}), **({"infra": True} if infra else {})}
    for _ in range(MOST_REPEATS):
        asked = airflow.ask(service, commit, conf["ref"], is_head=commit == head, again=again)
        found = [
            # an older Airflow gives none
            Obstacle(
                Effect(one["effect"]), one["what"], one["remedy"], code=one.get("code", "release.not-begun")
            )
            for one in asked["obstacles"]
        ]
        refuse(found)
        run, is_known = str(asked["run_id"]), asked["status"] is not None
        # Airflow may have a run of that id that nobody asked for here
        started = not is_known and airflow.trigger(entry.dag_id, run, given)
        if started or not again:
            break
    page = airflow.page(entry.dag_id, run)
    if not as_json:
        waits = any(one.effect is Effect.WAITS for one in found)
        begins = "is accepted, and waits" if waits else "started"
        click.echo(f"{run} {begins if started else 'is known already, nothing is started twice'}: {page}")
        if not started and not wait:
            click.echo("--wait follows it; --again releases the commit once more, as a run of its own.")
    if asked["status"] in (None, "running"):  # of what has ended nothing is in the way
        tell(found)
    told = {"run_id": run, "dag_id": entry.dag_id, **conf, "started": started, "url": page}
    told["obstacles"] = [one.show() for one in found]
    code = 0
    if wait:
        ended, code = _follow(airflow, entry.dag_id, run, timeout_s, told=found)
        told |= ended
        if not as_json:
            click.echo(_end(run, ended))
    if as_json:
        click.echo(json.dumps(told, indent=2))
    ctx.exit(code)


def tell(obstacles: Iterable[Obstacle]) -> None:
    """Says what is in the way of what was started, beside what a program reads."""
    from slipway.cli.releases import plain
    from slipway.release.obstacles import Effect

    for one in obstacles:
        what = "It waits" if one.effect is Effect.WAITS else "It will be refused"
        click.echo(plain(f"{what}: {one.what}.\nWhat to do: {one.remedy}"), err=True)


class Watch:
    """Says it when what is waited for waits itself: its DAG may be paused at any time, and nobody sees that of a queue.

    :param told: what is said already. :param every_s: seconds between two looks.
    """

    def __init__(
        self, airflow: Airflow, dag_id: str, told: Iterable[Obstacle] = (), every_s: float = 15
    ) -> None:
        self.airflow, self.dag_id, self.every_s = airflow, dag_id, every_s
        self.told = list(told)
        self.next = time.monotonic()

    def look(self) -> str:
        """Tells what has come into the way since the last look, and gives what is there now."""
        from slipway.release.obstacles import of_dag

        if time.monotonic() >= self.next:
            self.next = time.monotonic() + self.every_s
            found = of_dag(self.airflow.dag(self.dag_id))
            tell(one for one in found if one not in self.told)
            self.told = found
        return "".join(f": {one.what}" for one in self.told)


def _end(run: str, ended: dict[str, Any]) -> str:
    from slipway.cli.releases import plain

    by = f" by {ended['superseded_by']}" if ended.get("superseded_by") else ""
    at = f" at {ended['stage']}" if ended.get("stage") else ""
    return plain("\n".join(filter(None, (f"{run} {ended['status']}{by}{at}", ended.get("reason")))))


def known_service(service: str) -> Service:
    """Gives the catalog's entry of a service, whatever is wrong in those of others."""
    from difflib import get_close_matches

    from slipway.catalog import catalog_directory, load_service
    from slipway.errors import CatalogError

    folder = catalog_directory()
    names = sorted(path.stem for path in folder.glob("*.yaml"))
    if service in names:
        return load_service(folder / f"{service}.yaml")
    meant = get_close_matches(service, names, 1)
    raise CatalogError(
        f"The catalog has no service `{service[:80]}`" + (f"; did you mean `{meant[0]}`?" if meant else "."),
        code="catalog.service-unknown",
        remedy=f"{folder} has: {', '.join(names) or 'none'}. `slipway new` adds one.",
    )


def full_commit(service: Service, text: str | None) -> str:
    """Gives the full hash of the commit on the released branch that `text` names, or of the branch's head."""
    from slipway.errors import CatalogError

    branch = service.source.branch
    if text is not None and not re.fullmatch("[0-9a-fA-F]{4,40}", text):
        raise CatalogError(
            f"`{text[:80]}` is not a commit: 4 to 40 hexadecimal digits are.",
            code="commit.malformed",
            remedy=f"Give what `git rev-parse` says of it, or leave COMMIT out for the head of `{branch}`.",
        )
    with reading(service.source) as repository:
        return _on_branch(repository, text.lower(), branch) if text else repository.head(branch)


@contextmanager
def reading(cloned: Cloned) -> Iterator[Repository]:
    """Gives a repository of the catalog, with the account of SLIPWAY_GIT_USER; turns its errors into the command's."""
    from slipway.adapters.git import Repository
    from slipway.cli.settings import address, cache, credential, credential_path
    from slipway.errors import CatalogError, Permanent, PolicyFailed

    account, mirrors = os.environ.get("SLIPWAY_GIT_USER") or "slipway", cache() / "mirrors"
    url = cloned.url(address("GIT_URL"))
    try:
        yield Repository(url, account, credential(f"git-{account}"), mirrors)
    except PolicyFailed as error:  # nothing was judged: what was asked for is not there
        raise CatalogError(error.message, code=error.code, remedy=error.remedy, lines=error.lines) from error
    except Permanent as error:
        if error.code != "git.account-refused":
            raise
        # the remedy is for the workers
        raise CatalogError(
            error.message,
            code=error.code,
            remedy=f"Its password is read from {credential_path(f'git-{account}')}, its name from SLIPWAY_GIT_USER.",
        ) from error
    except OSError as error:
        raise CatalogError(
            f"The mirror of {url} cannot be kept in {mirrors}: {error.strerror}.",
            code="git.mirror-not-writable",
            remedy="Name a folder that you may write to by SLIPWAY_CACHE.",
        ) from error


def _on_branch(repository: Repository, text: str, branch: str) -> str:
    from slipway.errors import CatalogError

    found = repository.resolve(text, branch)
    if len(found) > 1:
        raise CatalogError(
            f"{text} fits {len(found)} commits on branch {branch} of {repository.url}",
            code="commit.ambiguous",
            remedy="give more digits",
            lines=[*found[:10], *(["…"] if len(found) > 10 else [])],
        )
    if not found:
        raise CatalogError(
            f"{text} is not on branch {branch} of {repository.url}",
            code="source.not-on-branch",
            remedy=f"push it to {branch}; if a forced push took it away, release what is there now",
        )
    return found[0]


def _follow(
    airflow: Airflow, dag_id: str, run: str, timeout_s: int, told: Iterable[Obstacle] = ()
) -> tuple[dict[str, Any], int]:
    """Waits for the run's end. Gives what the ledger (else Airflow) says of it, and our exit code.

    The ledger decides: a superseded release is green in Airflow, and red does not say whose fault it was.
    """
    from slipway.cli.settings import ledger_url
    from slipway.errors import CatalogError, PolicyFailed, Transient
    from slipway.ledger import Ledger

    end, watch = time.monotonic() + timeout_s, Watch(airflow, dag_id, told)
    while (state := airflow.state(dag_id, run)) not in ("success", "failed"):
        why = watch.look()
        if time.monotonic() > end:
            raise Transient(
                f"{run} is still {state} after {timeout_s} s{why}.",
                code="run.not-ended",
                remedy=f"Look at {airflow.page(dag_id, run)}",
            )
        time.sleep(1)
    try:
        url = ledger_url()
    except CatalogError:  # no ledger is named here: Airflow's word must do
        passed = state == "success"
        return {"status": "passed" if passed else state}, 0 if passed else PolicyFailed.exit_code
    ledger = Ledger(url)
    try:
        recorded = ledger.record(run)
    finally:
        ledger.close()
    if recorded is None:
        return {"status": state}, Transient.exit_code
    status = recorded.status.value
    ended = {name: getattr(recorded, name) for name in ("stage", "reason", "superseded_by")}
    codes = {"passed": 0, "superseded": 0, "unchanged": 0, "errored": 3, "running": 3}
    return {"status": status} | {k: v for k, v in ended.items() if v}, codes.get(
        status, PolicyFailed.exit_code
    )
