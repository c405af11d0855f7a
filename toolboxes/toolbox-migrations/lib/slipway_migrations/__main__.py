"""slipway-migrations status|update: see the README of the image."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import FrameType
from typing import Any

from slipway_migrations import asked, changesets, lint, outcome
from slipway_migrations.changesets import ALL, EXPAND, Applied, Changeset, State
from slipway_migrations.choice import Choice
from slipway_migrations.database import Database, Session
from slipway_migrations.flyway import Flyway
from slipway_migrations.liquibase import Liquibase
from slipway_migrations.outcome import Failed, ServiceFailed, Unavailable, shortened
from slipway_migrations.tool import Tools

NEWEST, FIRST, FINDINGS = 40, 40, 20
Engine = Liquibase | Flyway
ENGINES: dict[str, type[Liquibase] | type[Flyway]] = {"liquibase": Liquibase, "flyway": Flyway}


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("slipway-migrations", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("status", "update"):
        one = commands.add_parser(name)
        one.add_argument("--engine", choices=sorted(ENGINES), required=True)
        one.add_argument("--changelog", type=PurePosixPath, required=True, help="below /work (or WORK)")
        one.add_argument("--statement-timeout-s", type=int, default=240)
        one.add_argument(
            "--contexts",
            default=os.environ.get("CONTEXTS", ""),
            help="of Liquibase, with commas between: those that hold here (or CONTEXTS)",
        )
        one.add_argument("--labels", help="a filter of Liquibase's labels, besides the phases'")
        one.add_argument("--baseline", help="what a database has that is older than its history")
        if name == "status":
            one.add_argument(
                "--at-once",
                action="store_true",
                help="both phases will run together: lint contract as expand",
            )
        if name == "update":
            one.add_argument("--phase", choices=changesets.PHASES, required=True)
            one.add_argument(
                "--planned",
                help="pending_sha of the status that was planned with; left out: whatever is pending",
            )
    return parser.parse_args(argv)


def log(text: str) -> None:
    print(text, flush=True)


def status(engine: Engine, session: Session, *, at_once: bool) -> dict[str, Any]:
    """Tell how the database is beside the changelog."""
    state = engine.read(session, tells=True)
    from_ = _works_from(engine, state)
    callbacks = state.running_callbacks()
    found = lint.findings(
        [*state.pending, *(Changeset(one.id, EXPAND, one.checksum, one.sql, one.file) for one in callbacks)],
        at_once=at_once,
    )
    order = {one.id: index + 1 for index, one in enumerate(state.ordered())}
    log(
        f"{len(state.applied)} changesets are applied, {len(state.pending)} are pending; "
        f"the database is at {state.revision or 'nothing'}"
    )
    for one in state.pending:
        log(f"  pending, {one.phase}: {one.id}")
    told = [{"id": one.id, "runs": one in callbacks, "new": one.is_new} for one in state.callbacks]
    for callback in callbacks:
        log(f"  callback: {callback.id}{', which is new' if callback.is_new else ''}")
    for out in state.left_out:
        log(f"  left out: {out.id}: {out.why}")
    for finding in found:
        log(
            f"  {finding['level']}: {finding['id']}: {finding['rule']}: {engine.tools.redact(finding['message'])}"
        )
    # repeatable migrations of Flyway have no version: they run after all others whenever they change
    steps = [
        one for one in state.ordered() if not PurePosixPath(one.id).name.startswith("R__")
    ] or state.ordered()
    return {
        "revision": state.revision,
        "applied": [_told(row) for row in state.applied[-NEWEST:]],
        "applied_count": len(state.applied),
        "pending": [
            {"id": one.id, "phase": one.phase, "order": order[one.id]} for one in state.pending[:FIRST]
        ],
        "pending_count": len(state.pending),
        "pending_sha": changesets.planned_sha(state),
        "callbacks": told,
        "callbacks_due": any(one.always and one.is_new for one in state.callbacks),
        "left_out": [{"id": one.id, "why": one.why} for one in state.left_out[:FIRST]],
        "left_out_count": len(state.left_out),
        "baseline": state.baseline,
        "head": steps[-1].id if steps else None,
        "works_from": from_,
        "lint": [{**one, "message": engine.tools.redact(one["message"])} for one in found[:FINDINGS]],
        "lint_count": len(found),
    }


def told_or_known(engine: Engine, session: Session, given: argparse.Namespace) -> dict[str, Any]:
    """Tell how the database is beside the changelog, or that the caller knows it: by what it is made of (KNOWN, hashes)."""

    def of() -> str | None:
        chosen = [str(value) for value in vars(given).values()]
        return asked.digest(engine.root / engine.changelog.parts[0], chosen, session, engine.TABLES)

    before = of()
    if before and before in os.environ.get("KNOWN", "").split():
        log("changelog and history are as they were when this was asked before: the answer is the same")
        return {"of": before, "known": True}
    told = status(engine, session, at_once=given.at_once)
    return {**told, "of": before if before == of() else None}  # not what somebody has changed meanwhile


def _told(row: Applied) -> dict[str, Any]:
    return {"id": row.id, "phase": row.phase, **({} if row.is_run else {"marked": True})}


def _works_from(engine: Engine, state: State) -> str | None:
    file = engine.beside / "works-from"
    if not file.exists():
        return None
    if not file.resolve().is_relative_to(engine.root.resolve()):
        raise ServiceFailed("works-from leads out of the changelog's folder")
    with file.open(encoding="utf-8", errors="replace") as lines:
        return changesets.works_from(lines.readline(1000), state)


def update(
    engine: Engine, session: Session, phase: str, planned: str | None, told: dict[str, Any]
) -> dict[str, Any]:
    """Apply what is pending of a phase. `told` gets what was applied and what is left, also where it fails."""
    running = os.environ.get("PODS", "").split()
    session.take()
    session.let_the_dead_end(running, log)
    engine.unlock(session, running, log)
    state = engine.read(session)
    wanted = [one.id for one in state.pending if phase in (ALL, one.phase)]
    told |= {"applied": [], "revision": state.revision, "left": wanted, "left_count": len(wanted)}
    if planned is not None:
        changesets.require_planned(state, planned, _named())
    if not state.is_due(phase):
        log(f"nothing of the phase {phase} is pending; the database is at {state.revision or 'nothing'}")
        return {**told, "revision_before": state.revision}
    before = max((row.place for row in state.applied), default=-1)
    del told["left"], told["left_count"]  # not known, until the database has been asked again
    try:
        engine.update(session, state, phase)
    finally:
        rows = _after(engine)
        if rows is not None:
            new = [_told(row) for row in rows if row.place > before]
            left = [one for one in wanted if one not in {row.id for row in rows}]
            told |= {"applied": new, "revision": rows[-1].id if rows else None}
            told |= {"left": left, "left_count": len(left)}
    for one in told["applied"]:
        if one.get("marked"):
            log(f"  not run, only marked: {one['id']}: its preconditions do not hold, or the baseline has it")
    log(f"{len(told['applied'])} changesets were applied; the database is at {told['revision']}")
    if told.get("left"):  # an engine that goes on after a failure is no engine that did what was planned
        raise ServiceFailed(
            f"planned, and not run: {shortened(', '.join(told['left']), 600)}; what may fail (failOnError: false) or wait "
            "(onFail: CONTINUE) is no part of a plan: correct it, or let its precondition say MARK_RAN"
        )
    return {**told, "revision_before": state.revision}


def _after(engine: Engine) -> Any:
    """Give the history by a new session, or None where the database is away."""
    try:
        with engine.database.connect() as session:
            return engine.applied(session)
    except Unavailable:
        return None


def _named() -> list[str]:
    """Give the ids that the caller knows of what was planned (PLANNED, a JSON list): for the message only."""
    try:
        given = json.loads(os.environ.get("PLANNED") or "[]")
    except ValueError:
        return []
    return [str(one) for one in given] if isinstance(given, list) else []


def _terminated(number: int, _: FrameType | None) -> None:
    raise Unavailable(f"ended from outside by signal {number}: the pod ran out of time, or was deleted")


def _changelog(root: Path, given: PurePosixPath) -> PurePosixPath:
    if (
        given.is_absolute()
        or ".." in given.parts
        or not (root / given).resolve().is_relative_to(root.resolve())
    ):
        raise ServiceFailed(f"{given} leads out of {root}")
    return given


def main(argv: Sequence[str] | None = None) -> int:
    given = arguments(sys.argv[1:] if argv is None else argv)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _terminated)
    told: dict[str, Any] = {}
    root, began = Path(os.environ.get("WORK", "/work")), time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="migrations-"))
    tools = Tools(folder, lambda text: text)
    try:
        file = Path(os.environ.get("DATABASE", "/run/slipway/database.json"))
        database = Database.read(file, given.statement_timeout_s, os.environ.get("HOSTNAME", "unknown"))
        tools.redact = database.redact
        engine = ENGINES[given.engine](
            root,
            _changelog(root, given.changelog),
            database,
            tools,
            Choice(tuple(one for one in given.contexts.split(",") if one), given.labels, given.baseline),
        )
        engine.check()
        with database.connect() as session:
            if given.command == "status":
                result = told_or_known(engine, session, given)
            else:
                result = update(engine, session, given.phase, given.planned, told)
        code = outcome.DONE
    except Failed as failed:
        why, statement = tools.redact(failed.why), failed.statement and tools.redact(failed.statement)
        if statement:
            log(f"statement that failed: {statement}")
        log(f"{'FAILED' if failed.code == outcome.SERVICE else 'NOT DONE'}: {why}")
        code, result = (
            failed.code,
            {"error": why, "statement": statement, "applied": [], "revision": None, **told},
        )
    except Exception as unexpected:
        log(tools.redact(traceback.format_exc()))
        why = f"slipway-migrations itself broke: {type(unexpected).__name__}: {tools.redact(str(unexpected))}"
        code, result = (
            outcome.INFRASTRUCTURE,
            {"error": why, "statement": None, "applied": [], "revision": None, **told},
        )
    finally:
        tools.end()
        shutil.rmtree(folder, ignore_errors=True)
    try:
        Path(os.environ.get("RESULT", "/dev/termination-log")).write_text(
            outcome.packed(result), encoding="ascii"
        )
    except OSError as error:
        log(f"the result cannot be written: {error}")
        return code or outcome.INFRASTRUCTURE
    if code == outcome.DONE:
        log(f"done in {time.monotonic() - began:.1f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
