"""Flyway: a folder of SQL migrations, and its history table."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

from slipway_migrations import tool
from slipway_migrations.changesets import ALL, CONTRACT, EXPAND, Applied, Callback, Changeset, LeftOut, State
from slipway_migrations.choice import Choice, older
from slipway_migrations.database import Database, Session, passes_later
from slipway_migrations.outcome import Failed, ServiceFailed, Unavailable, shortened

HISTORY = "flyway_schema_history"
LOCK_TRIES = 10  # one a second
# An older image has fewer migrations than the database, and a phase is not shown those of the other.
_NOT_HERE = ["*:missing", "*:future", "*:ignored"]
_MIGRATION = re.compile(r"(?:V[^/]*?|R)__[^/]*\.sql")
# What Flyway 11 runs of `<event>.sql` and `<event>__<words>.sql` while it migrates (tried, not read)
_ALWAYS = ("beforeMigrate", "afterVersioned", "afterMigrate", "afterMigrateOperationFinish")
_BESIDE = (
    *("beforeEachMigrate", "beforeEachMigrateStatement", "afterEachMigrateStatement", "afterEachMigrate"),
    *("beforeRepeatables", "afterMigrateApplied"),
    *("afterEachMigrateStatementError", "afterEachMigrateError", "afterMigrateError"),
)
# Of operations that a release has not, or has to ask only.
_ELSEWHERE = re.compile(r"(?:before|after)(?:Each)?(?:Info|Clean|Undo|Repair|Baseline)[A-Za-z]*")
# These would run while Flyway is only asked, or before anything is known to be due: there is no plan of them.
_UNPLANNED = re.compile(r"(?:before|after)(?:Connect|Validate|CreateSchema|Deploy|Run)[A-Za-z]*|createSchema")
_LIKE_A_MIGRATION = re.compile(r"(?:[VUB][0-9][0-9._]*|R)__[^/]*", re.IGNORECASE)
_RAN = "slipway_callbacks"
_FAILED_SCRIPT = re.compile(
    r"^Message +: (?P<message>.*?)(?=^(?:Location|Line|Statement) +:)", re.MULTILINE | re.DOTALL
)
_FAILED_STATEMENT = re.compile(r"^Statement +: (?P<sql>.*)", re.MULTILINE | re.DOTALL)
_HALF = "FAILED_"  # validation: a script without a transaction that failed half-way, and is to run again


def phase_of(script: str) -> str:
    return CONTRACT if CONTRACT in PurePosixPath(script).parts[:-1] else EXPAND


def scripts(root: Path, folder: PurePosixPath) -> Iterator[tuple[str, Path]]:
    """Give the files below the folder by their path in it; a link that leads out of `root` is refused."""
    top = (root / folder).resolve()
    for directory, names, leaves in os.walk(top):
        names.sort()
        for leaf in sorted(leaves):
            path = Path(directory) / leaf
            if not path.resolve().is_relative_to(root.resolve()):
                raise ServiceFailed(f"{folder}/{path.relative_to(top)} leads out of the changelog")
            if path.is_file():
                yield path.relative_to(top).as_posix(), path


def event(script: str) -> str:
    """Give what a callback's name begins with."""
    return PurePosixPath(script).name.removesuffix(".sql").partition("__")[0]


def is_callback(script: str) -> bool:
    return script.endswith(".sql") and event(script) in (*_ALWAYS, *_BESIDE)


def unread(script: str, others: Container[str]) -> str | None:
    """Give why a file of the changelog is left out, or None if Flyway is shown it.

    :param others: the scripts beside it
    :raises ServiceFailed: it would be run without a plan, or not be run though it looks as if it were
    """
    name = PurePosixPath(script).name
    if name.endswith(".sql.conf"):
        if script.removesuffix(".conf") not in others:
            raise ServiceFailed(
                f"{script} belongs to no script: Flyway would not read it; name it as the script is, with .conf"
            )
        return None
    if not name.endswith(".sql"):
        known = event(name.partition(".")[0])
        if _LIKE_A_MIGRATION.fullmatch(name) or known in (*_ALWAYS, *_BESIDE) or _UNPLANNED.fullmatch(known):
            raise ServiceFailed(
                f"{script} looks like a script of Flyway's, yet only SQL is run here (`.sql`, in lower case): "
                "write it as SQL, or take it out of the folder"
            )
        return "no script"
    if re.match(r"B[0-9][^/]*__", name):
        raise ServiceFailed(
            f"{script} is a baseline migration: a new database would get another schema than one that has all migrations; "
            "take it out (what an older database has is said by `deploy.migrations.baseline`)"
        )
    if _UNPLANNED.fullmatch(event(name)):
        raise ServiceFailed(
            f"{script}: Flyway would run it outside of the plan, also when it is only asked; make it beforeMigrate or a migration"
        )
    if is_callback(script) and phase_of(script) == CONTRACT:
        raise ServiceFailed(
            f"{script}: callbacks run in both phases, in whatever folder they are; take it out of `{CONTRACT}`"
        )
    if re.match(r"U[0-9][^/]*__", name):
        return "an undo migration: a release undoes nothing"
    if _ELSEWHERE.fullmatch(event(name)):
        return "a callback of an operation that a release does not do"
    return None


def belongs(script: str, phase: str) -> bool:
    """Whether a file is shown to Flyway in a phase: callbacks and their like are in both."""
    if phase == ALL or phase_of(script) == phase:
        return True
    return phase == CONTRACT and not _MIGRATION.fullmatch(PurePosixPath(script).name.removesuffix(".conf"))


def version(text: str) -> tuple[int, ...]:
    """Give what versions are ordered by: `1.10` is above `1.9`, and `1.0` is `1`."""
    parts = [int(part) for part in re.findall("[0-9]+", text)]
    while parts and parts[-1] == 0:
        parts.pop()
    return tuple(parts)


def number_of(script: str) -> tuple[int, ...] | None:
    """Give the version of a versioned migration."""
    found = re.fullmatch(r"V([0-9][0-9._]*)__[^/]*\.sql", PurePosixPath(script).name)
    return version(found[1]) if found else None


def pending(info: dict[str, Any], below: Path) -> tuple[list[str], list[str]]:
    """Give the scripts of the changelog in their order, and those that Flyway would run, out of `flyway info`.

    Flyway tells what is applied in the order in which it was applied. Here it is the order of versions, repeatable ones
    last, so that it does not change by applying.
    """
    every, waiting = dict[str, tuple[bool, tuple[int, ...], str]](), set[str]()
    for one in info.get("migrations", []):
        path = one.get("filepath") or ""
        if not path.startswith(f"{below}/") or one.get("category") == "Undo":
            continue
        script = PurePosixPath(path).relative_to(below).as_posix()
        number = str(one.get("version") or "")
        every[script] = (not number, version(number), str(one.get("description")))
        if one.get("state") in ("Pending", "Failed", "Outdated"):
            waiting.add(script)
    ordered = sorted(every, key=lambda script: every[script])
    return ordered, [script for script in ordered if script in waiting]


def reason(report: dict[str, Any]) -> tuple[str, str | None]:
    """Give the line that says why Flyway failed, and the statement, out of its report."""
    error = report.get("error") or {}
    message = str(error.get("message") or report.get("exception") or "Flyway said nothing")
    found, statement = _FAILED_SCRIPT.search(message), _FAILED_STATEMENT.search(message)
    if found:
        script = re.match(r"Script (\S+) failed", message)
        return f"{script[1] if script else 'migration'}: {' '.join(found['message'].split())}", (
            statement["sql"].strip() if statement else None
        )
    return " ".join(message.split()), None


def report(answer: str, operation: str) -> dict[str, Any] | None:
    """Give what one operation reported; what Flyway prints before its JSON is passed over."""
    start = answer.find("{")
    try:
        found = json.loads(answer[start:]) if start >= 0 else {}
    except ValueError:
        return None
    for one in found.get("individualResults", [found]):
        if one.get("operation") == operation or "error" in one:
            return dict(one)
    return None


def _failure(one: dict[str, Any], redact: Callable[[str], str]) -> Failed:
    why, statement = reason(one)
    kind = Unavailable if passes_later(why) else ServiceFailed
    return kind(shortened(redact(why)), statement and shortened(redact(statement)))


@dataclass
class Flyway:
    """A folder of migrations beside its database."""

    root: Path
    changelog: PurePosixPath
    database: Database
    tools: tool.Tools
    chosen: Choice

    TABLES: ClassVar = (HISTORY, _RAN)

    def check(self) -> None:
        if not (self.root / self.changelog).is_dir():
            raise ServiceFailed(
                f"{self.changelog} is not in the image: `deploy.migrations.changelog` names Flyway's folder"
            )

    @property
    def beside(self) -> Path:
        return self.root / self.changelog

    def _scripts(self) -> tuple[dict[str, Path], list[LeftOut]]:
        """Give the files that are Flyway's, and what of the others looks as if it were."""
        every = dict(scripts(self.root, self.changelog))
        out = {script: unread(script, every) for script in every}
        told = [LeftOut(script, why) for script, why in out.items() if why and script.endswith(".sql")]
        return {script: path for script, path in every.items() if out[script] is None}, told

    def _shown(self, phase: str, *, asks: bool) -> Path:
        """Give a copy of what Flyway is to see: its own filters know no folders.

        :param asks: without callbacks, since Flyway runs some when it is only asked
        """
        shown = self.tools.folder / f"shown-{phase}"
        shutil.rmtree(shown, ignore_errors=True)
        shown.mkdir()
        for script, path in self._scripts()[0].items():
            if belongs(script, phase) and not (asks and is_callback(script.removesuffix(".conf"))):
                (shown / script).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, shown / script)
        return shown

    def _command(
        self,
        version: int,
        shown: Path,
        ignored: Sequence[str],
        *operations: str,
        asks: bool,
        baseline: str | None = None,
    ) -> tuple[list[str], dict[str, str]]:
        settings: dict[str, dict[str, object]] = {
            "environments.default": {
                "url": self.database.url(version, asks=asks),
                "user": self.database.username,
                "password": self.database.password,
            },
            "flyway": {
                "locations": [f"filesystem:{shown}"],
                "outOfOrder": True,  # an expand migration may be newer than a contract one that waits
                "validateMigrationNaming": True,
                "cleanDisabled": True,
                "lockRetryCount": LOCK_TRIES,
                "ignoreMigrationPatterns": list(ignored),
                "baselineOnMigrate": baseline is not None,
                **({"baselineVersion": baseline} if baseline is not None else {}),
            },
            # its lock in a transaction of its own would make `create index concurrently` wait for ever
            "flyway.postgresql.transactional": {"lock": False},
        }
        file = self.tools.folder / "flyway.toml"
        file.touch(mode=0o600)
        lines = []
        for table, values in settings.items():
            lines += [f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in values.items())]
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        command = ["flyway", f"-configFiles={file}", "-skipCheckForUpdate", "-outputType=json", *operations]
        return command, {}

    def applied(self, session: Session) -> list[Applied]:
        if not session.holds(HISTORY):
            return []
        rows = session.rows(
            "select script, installed_rank, type, version from flyway_schema_history"
            " where success and (type like 'SQL%' or type = 'BASELINE') order by installed_rank"
        )
        newest = {row[0]: row[1] for row in rows}  # a repeatable one has a row for each time
        told = list[Applied]()
        for script, rank, kind, number in rows:
            if kind == "BASELINE":
                below = [one for one in self._baselined(str(number)) if one not in newest]
                told += [Applied(one, phase_of(one), rank, is_run=False) for one in below]
            elif newest[script] == rank:
                told.append(Applied(script, phase_of(script), rank))
        return told

    def _baselined(self, baseline: str) -> list[str]:
        """Give the scripts that a baseline stands for, in their order."""
        found = {script: number_of(script) for script in self._scripts()[0]}
        below = [
            script for script, number in found.items() if number is not None and number <= version(baseline)
        ]
        return sorted(below, key=lambda script: found[script] or ())

    def _callbacks(self, session: Session) -> list[Callback]:
        """Give the callbacks in the order of their names, with what the database knows of their last run."""
        known = (
            dict(session.rows("select script, checksum from slipway_callbacks"))
            if session.holds(_RAN)
            else {}
        )
        found = []
        for script, path in sorted(self._scripts()[0].items()):
            if is_callback(script):
                one = self._changeset(path.parent, path.name)
                always, is_new = event(script) in _ALWAYS, known.get(script) != one.checksum
                found.append(
                    Callback(script, one.checksum, one.sql, str(self.changelog / script), always, is_new)
                )
        return found

    def _ran(self, session: Session, callbacks: Sequence[Callback], *, beside: bool) -> None:
        """Keep what ran: a callback that changes later is to run again.

        :param beside: changesets were applied with them
        """
        if not callbacks and not session.holds(_RAN):
            return
        statements: list[tuple[str, Sequence[object]]] = [
            (
                "create table if not exists slipway_callbacks"
                " (script text primary key, checksum text not null, ran_at timestamptz not null)",
                (),
            ),
            ("delete from slipway_callbacks where script <> all(%s)", [[one.id for one in callbacks]]),
        ]
        statements += [
            (
                "insert into slipway_callbacks values (%s, %s, now())"
                " on conflict (script) do update set checksum = excluded.checksum, ran_at = excluded.ran_at",
                [one.id, one.checksum],
            )
            for one in callbacks
            if one.always or beside
        ]
        session.together(statements)

    def read(self, session: Session, *, tells: bool = False) -> State:
        shown = self._shown(ALL, asks=True)
        command, environment = self._command(
            session.version, shown, ["*:pending", *_NOT_HERE], "info", "validate", asks=True
        )
        _, answer, said = self.tools.ask(command, environment)
        info, validated = report(answer, "info"), report(answer, "validate")
        if info is None:
            raise ServiceFailed(
                f"Flyway gave no report: {shortened(self.tools.redact(' '.join((answer + said).split()[-60:])), 400)}"
            )
        for one in (info, validated or {}):
            if one.get("error"):
                raise _failure(one, self.tools.redact)
        wrong = [
            one
            for one in (validated or {}).get("invalidMigrations", [])
            if not str((one.get("errorDetails") or {}).get("errorCode", "")).startswith(_HALF)
            and not str((one.get("errorDetails") or {}).get("errorCode", "")).startswith("OUTDATED_")
        ]
        if wrong:
            told = "; ".join(
                " ".join(str((one.get("errorDetails") or {}).get("errorMessage", "")).split())
                for one in wrong
            )
            raise ServiceFailed(f"validation failed: {shortened(self.tools.redact(told), 800)}")
        every, waiting = pending(info, shown)
        changesets = {script: self._changeset(shown, script) for script in every}
        baseline, out = self._beginning(session), list(self._scripts()[1])
        if baseline is not None:
            below = self._baselined(baseline)
            waiting = [script for script in waiting if script not in below]
            why = f"the database is older: it has what is up to the baseline {baseline}"
            out = [*(LeftOut(script, why) for script in below), *out]
        return State(
            self.applied(session),
            list(changesets.values()),
            [changesets[script] for script in waiting],
            self._callbacks(session),
            out,
            baseline,
        )

    def _beginning(self, session: Session) -> str | None:
        """Give the baseline of a database that is older than its history, or None if it is not older.

        :raises ServiceFailed: it is, and the catalog does not say what it has
        """
        if session.holds(HISTORY) or not (found := session.occupants([_RAN])):
            return None
        if self.chosen.baseline is None:
            raise ServiceFailed(older(f"Flyway's ({HISTORY})", self.database.name, found))
        return self.chosen.baseline

    def _changeset(self, shown: Path, script: str) -> Changeset:
        content, digest = (shown / script).read_bytes(), hashlib.sha256()
        settings = shown / f"{script}.conf"
        for part in (content, settings.read_bytes() if settings.is_file() else b""):
            digest.update(len(part).to_bytes(8, "big") + part)
        file = str(self.changelog / script)
        return Changeset(script, phase_of(script), digest.hexdigest(), content.decode(errors="replace"), file)

    def unlock(self, session: Session, running: Sequence[str], log: Callable[[str], None]) -> None:
        """Nothing: its lock ends with the session that took it."""

    def update(self, session: Session, state: State, phase: str) -> None:
        """Apply what is pending of a phase."""
        if session.holds(HISTORY):
            # left by a script without a transaction: Postgres keeps what it did, and Flyway would refuse every other one, too
            for (script,) in session.rows(
                "delete from flyway_schema_history where not success returning script"
            ):
                print(
                    f"{script} failed half-way before, outside a transaction: it runs again from its beginning",
                    flush=True,
                )
        command, environment = self._command(
            session.version,
            self._shown(phase, asks=False),
            ["*:pending", *_NOT_HERE],
            "migrate",
            asks=False,
            baseline=state.baseline,
        )
        code, answer, said = self.tools.ask(command, environment)
        result = report(answer, "migrate")
        for one in (result or {}).get("migrations", []):
            print(
                f"applied {PurePosixPath(one.get('filepath') or '?').name} in {one.get('executionTime')} ms",
                flush=True,
            )
        if code or result is None or result.get("error"):
            if result is None:
                raise ServiceFailed(
                    f"Flyway gave no report: {shortened(self.tools.redact(' '.join((answer + said).split()[-60:])), 400)}"
                )
            raise _failure(result, self.tools.redact)
        for one in state.callbacks:
            if one.always or result.get("migrations"):
                print(f"callback {one.id} ran", flush=True)
        self._ran(session, state.callbacks, beside=bool(result.get("migrations")))
