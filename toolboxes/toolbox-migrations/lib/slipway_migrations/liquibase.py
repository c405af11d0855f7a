"""Liquibase: what its changelog holds, by what it would do, and its lock, which outlives who took it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import ClassVar

from slipway_migrations import tool
from slipway_migrations.changesets import ALL, CONTRACT, EXPAND, Applied, Changeset, LeftOut, State, named
from slipway_migrations.choice import Choice, older
from slipway_migrations.database import Database, Session, is_among, passes_later
from slipway_migrations.outcome import Failed, ServiceFailed, Unavailable, shortened

# A row of its history, as `update-sql` writes it: new, or of a changeset that runs again.
_RECORD = re.compile(
    r"^(?:INSERT INTO (?:[^\s.]+\.)?databasechangelog \((?P<columns>[A-Z0-9_, ]+)\) VALUES \("
    r"|UPDATE (?:[^\s.]+\.)?databasechangelog SET (?=COMMENTS = ))",
    re.MULTILINE,
)
_VALUE = re.compile(r"'((?:[^']|'')*)'|(NULL|NOW\(\)|-?\d+)")
_PAIR = re.compile(
    r"(?P<name>[A-Z0-9_]+) = (?:'(?P<text>(?:[^']|'')*)'|NULL|NOW\(\)|-?\d+)(?P<next>, | WHERE | AND |;)"
)
_FAILED_CHANGESET = re.compile(
    r"Migration failed for changeset (?P<id>.+?):\s*\n\s*Reason: (?:\S+Exception: )*"
    r"(?P<reason>.+?)(?:\n\s*$|\nFor more information|\Z)",
    re.DOTALL,
)
_STATEMENT = re.compile(r"\s*\[Failed SQL: (?:\(\d+\) )?(?P<sql>.*)\]\s*$", re.DOTALL)
_OWNED = "deploy-"  # how the names of a release's pods begin
HISTORY = "databasechangelog"
_OWN_TABLES = (HISTORY, "databasechangeloglock")
_CHANGELOGS = (".xml", ".yaml", ".yml", ".json", ".sql")
_HISTORY_MADE = re.compile(r"^CREATE TABLE \S*databasechangelog \([^;]*\);$", re.MULTILINE)
_KEPT = ("md5sum", "description", "comments", "contexts", "labels", "liquibase", "deployment_id")
_BASELINED = (
    f"insert into databasechangelog (id, author, filename, dateexecuted, orderexecuted, exectype, {', '.join(_KEPT)})"  # noqa: S608 -- the names above
    f" values (%s, %s, %s, now(), %s, 'EXECUTED'{', %s' * len(_KEPT)})"
)
# Kinds of change that run something else than SQL. That they are told by name is a courtesy: Java has nothing here to
# start a program with (see the Dockerfile), and finds no class but the engine's.
_PROGRAMS = re.compile(r"(?:^|; )(executeCommand|customChange)\b")


def phase_of(labels: str | None) -> str:
    return CONTRACT if CONTRACT in [one.strip().lower() for one in (labels or "").split(",")] else EXPAND


@dataclass(frozen=True)
class Recorded(Changeset):
    """A changeset with the row that it leaves in the history, by the row's columns."""

    row: Mapping[str, str] = field(default_factory=dict)


def parse(text: str) -> list[Recorded]:
    """Give the changesets that `update-sql` wrote, each with its SQL.

    Every one begins with a comment that names it, and ends with the row that it leaves. Both must agree: what a service
    writes into its own SQL or comments makes no changeset.
    """
    found, begin, at = list[Recorded](), 0, 0
    while record := _RECORD.search(text, at):
        if record["columns"]:
            names, values, end = record["columns"].split(", "), list[str](), record.end()
            while value := _VALUE.match(text, end):
                values.append(value[1].replace("''", "'") if value[2] is None else "")
                end = value.end() + (2 if text[value.end() : value.end() + 2] == ", " else 0)
            row = dict(zip(names, values, strict=False))
        else:
            row, end = {}, record.end()
            while pair := _PAIR.match(text, end):
                row[pair["name"]] = (pair["text"] or "").replace("''", "'")
                end = pair.end()
                if pair["next"] == ";":
                    break
        name = f"{row.get('FILENAME')}::{row.get('ID')}::{row.get('AUTHOR')}"
        piece = text[begin : record.start()]
        marker = re.search(rf"^-- Changeset {re.escape(name)}[ \t]*$", piece, re.MULTILINE)
        if not marker:
            at = record.end()  # of the service's own SQL: it stays a part of the changeset that it is in
            continue
        sql = piece[marker.end() :].lstrip("\n")
        sql = re.sub(r'^SET SEARCH_PATH TO .*"\$user".*;\n', "\n", sql, flags=re.MULTILINE)
        found.append(
            Recorded(
                name,
                phase_of(row.get("LABELS")),
                row.get("MD5SUM", ""),
                sql.strip(),
                row.get("FILENAME", ""),
                row,
            )
        )
        begin = at = end
    return found


def refuse_programs(changesets: Sequence[Recorded]) -> None:
    """See that what would run is SQL.

    :raises ServiceFailed: a changeset would run a program
    """
    for one in changesets:
        if found := _PROGRAMS.search(one.row.get("DESCRIPTION", "")):
            raise ServiceFailed(
                f"changeset {one.id}: {found[1]} runs a program, which no lint reads and no plan shows; "
                "write it as SQL, or run it as a part of the service"
            )


def left_out(
    every: Sequence[Recorded], shown: Sequence[Changeset], contexts: Sequence[str], labels: str | None
) -> list[LeftOut]:
    """Give which changesets the filters keep back, and by what.

    :param every: all of the changelog, without filters
    :param shown: those that the filters let through
    """
    kept, told = {one.id for one in shown}, []
    for one in every:
        if one.id in kept:
            continue
        context, own = one.row.get("CONTEXTS"), one.row.get("LABELS")
        why = [f"its context is `{context}`, and `{', '.join(contexts)}` holds here"] if context else []
        why += [f"its labels are `{own}`, and `{labels}` is asked for"] if own and labels else []
        told.append(LeftOut(one.id, "; or ".join(why) or "a filter of the changelog keeps it back"))
    return told


def label_filter(phase: str, labels: str | None) -> list[str]:
    """Give the option that lets a phase's changesets through, of those that the service's own filter does."""
    parts = [{EXPAND: f"!{CONTRACT}", CONTRACT: CONTRACT, ALL: ""}[phase], f"({labels})" if labels else ""]
    wanted = " and ".join(part for part in parts if part)
    return [f"--label-filter={wanted}"] if wanted else []


def baselined(changesets: Sequence[Recorded], baseline: str) -> list[Recorded]:
    """Give the changesets that a database has which is older than its history: up to the baseline, or none for `0`.

    :raises ServiceFailed: the baseline names none of them, or several
    """
    if baseline == "0":
        return []
    found = named(baseline, changesets)
    if len(found) != 1:
        raise ServiceFailed(
            f"baseline: {shortened(baseline, 200)} is the end of {len(found) or 'no'} changesets that would run here; "
            "name the newest that the database has, or `0` if it has none"
        )
    return list(changesets[: [one.id for one in changesets].index(found[0].id) + 1])


def reason(said: str) -> tuple[str, str | None]:
    """Give the line that says why Liquibase failed, and the statement."""
    if failed := _FAILED_CHANGESET.search(said):
        why, statement = failed["reason"], None
        if sql := _STATEMENT.search(why):
            why, statement = why[: sql.start()], sql["sql"]
        return f"changeset {failed['id']}: {' '.join(why.split())}", statement
    _, found, rest = said.partition("Unexpected error running Liquibase: ")
    lines = rest.partition("For more information")[0].split() if found else []
    if "Exception Primary Reason:" in said and (not lines or " ".join(lines) == "Validation Failed:"):
        primary = said.partition("Exception Primary Reason:")[2].partition("ERROR: Exception Primary Source")[
            0
        ]
        lines = primary.split()
    return " ".join(lines) or " ".join(said.split()[-40:]) or "Liquibase said nothing", None


def _failure(said: str, redact: Callable[[str], str]) -> Failed:
    why, statement = reason(redact(said))
    kind = Unavailable if passes_later(why) else ServiceFailed
    return kind(shortened(why), statement and shortened(statement))


def escaped(value: str) -> str:
    """Write a value of a Java properties file."""
    return "".join(
        c if c.isascii() and c.isalnum() else "".join(f"\\u{unit:04x}" for unit in _utf16(c)) for c in value
    )


def _utf16(character: str) -> list[int]:
    octets = character.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(octets[i : i + 2], "big") for i in range(0, len(octets), 2)]


@dataclass
class Liquibase:
    """A changelog beside its database.

    :param changelog: the root file, below `root`
    """

    root: Path
    changelog: PurePosixPath
    database: Database
    tools: tool.Tools
    chosen: Choice

    TABLES: ClassVar = (HISTORY,)

    def __post_init__(self) -> None:
        self._seen = self.tools.folder / "seen"
        self._synced: list[Recorded] = []
        self._history: str | None = None

    def check(self) -> None:
        if not self.chosen.contexts:  # it would run every changeset
            raise Unavailable(
                "no contexts are given (--contexts), and Liquibase would then run what is for others, too"
            )
        if not (self.root / self.changelog).is_file():
            raise ServiceFailed(
                f"{self.changelog} is not in the image: `deploy.migrations.changelog` names Liquibase's root file"
            )
        # what the image holds of the changelog, also beside sources that hold more
        self._seen.mkdir()
        (self._seen / self.changelog.parts[0]).symlink_to((self.root / self.changelog.parts[0]).resolve())

    @property
    def beside(self) -> Path:
        return (self.root / self.changelog).parent

    def _command(
        self, version: int, *arguments: str, asks: bool, offline: bool = False
    ) -> tuple[list[str], dict[str, str]]:
        name = "offline" if offline else "database"
        defaults = self.tools.folder / f"{name}.properties"
        if offline:
            # as if nothing was applied, with the whole of what each would leave
            history = self.tools.folder / "none.csv"
            history.unlink(missing_ok=True)
            url = f"offline:postgresql?version={version // 10000}.0&changeLogFile={history}&outputLiquibaseSql=all"
            settings = {"url": url}
        else:
            settings = {
                "url": self.database.url(version, asks=asks),
                "username": self.database.username,
                "password": self.database.password,
            }
        defaults.touch(mode=0o600)
        defaults.write_text(
            "".join(f"{key}: {escaped(value)}\n" for key, value in settings.items()), encoding="ascii"
        )
        common = [
            f"--defaults-file={defaults}",
            f"--search-path={self._seen}",
            f"--changelog-file={self.changelog}",
        ]
        return ["liquibase", *common, *arguments], {"LIQUIBASE_SHOW_BANNER": "false"}

    def _asked(self, version: int, *, offline: bool, filtered: bool = True) -> tuple[list[Recorded], str]:
        filters = self._contexts + label_filter(ALL, self.chosen.labels) if filtered else []
        command = self._command(version, "update-sql", *filters, asks=True, offline=offline)
        code, answer, said = self.tools.ask(*command)
        if code:
            raise _failure(f"{answer[-4000:]}\n{said}", self.tools.redact)
        return parse(answer), answer

    @property
    def _contexts(self) -> list[str]:
        return [f"--context-filter={','.join(self.chosen.contexts)}"]

    def applied(self, session: Session) -> list[Applied]:
        if not session.holds(HISTORY):
            return []
        rows = session.rows(
            "select filename, id, author, labels, orderexecuted, exectype from databasechangelog"
            " order by orderexecuted, dateexecuted"
        )
        return [
            Applied(f"{file}::{name}::{author}", phase_of(labels), place, kind != "MARK_RAN")
            for file, name, author, labels, place, kind in rows
        ]

    def read(self, session: Session, *, tells: bool = False) -> State:
        """Give what is applied, what the changelog holds, and what Liquibase would apply: asked of two at the same time.

        :param tells: also what is left out, which costs a third question where the changelog has filters
        """
        version, applied = session.version, self.applied(session)
        if applied:
            (pending, _), (changelog, _) = self.tools.both(
                lambda: self._asked(version, offline=False), lambda: self._asked(version, offline=True)
            )
        else:  # then one answers for both
            pending, answer = self._asked(version, offline=False)
            changelog = pending
        refuse_programs(pending)
        known = {row.id for row in applied}
        out = self._left_out(version, changelog, known) if tells else []
        if applied or not (found := session.occupants(_OWN_TABLES)):
            return State(applied, changelog, pending, left_out=out)
        if self.chosen.baseline is None:
            raise ServiceFailed(older("Liquibase's (databasechangelog)", self.database.name, found))
        self._synced = baselined(pending, self.chosen.baseline)
        made = _HISTORY_MADE.search(answer.partition("-- Changeset ")[0])
        self._history = "" if session.holds(HISTORY) else made[0] if made else None
        out = [
            LeftOut(
                one.id, f"the database is older: it has what is up to the baseline {self.chosen.baseline}"
            )
            for one in self._synced
        ] + out
        rest = pending[len(self._synced) :]
        return State([], changelog, rest, left_out=out, baseline=self.chosen.baseline)

    def _left_out(self, version: int, shown: Sequence[Changeset], known: set[str]) -> list[LeftOut]:
        top = self.root / self.changelog.parts[0]
        below = [top] if top.is_file() else top.rglob("*")
        files = [path for path in below if path.suffix.lower() in _CHANGELOGS and path.is_file()]
        told = (b"context", b"label") if self.chosen.labels else (b"context",)
        if not any(word in path.read_bytes().lower() for path in files for word in told):
            return []
        every, _ = self._asked(version, offline=True, filtered=False)
        out = left_out(every, shown, self.chosen.contexts, self.chosen.labels)
        return [one for one in out if one.id not in known]

    def _adopt(self, session: Session) -> None:
        """Write the history of a database that is older than it: what the baseline says is in it."""
        if self._history is None:
            raise ServiceFailed("Liquibase did not tell how its history is made: its version is another one")
        statements: list[tuple[str, Sequence[object]]] = [(self._history, ())] if self._history else []
        for place, one in enumerate(self._synced, 1):
            values = [one.row.get(name.upper()) or None for name in _KEPT]
            known = [one.row["ID"], one.row["AUTHOR"], one.row["FILENAME"], place]
            statements.append((_BASELINED, [*known, *values]))
        session.together(statements)
        print(
            f"the history begins: {len(self._synced)} changesets up to the baseline are in the database",
            flush=True,
        )

    def unlock(self, session: Session, running: Sequence[str], log: Callable[[str], None]) -> None:
        """Release the lock that a pod left which does not run any more; it is that row and no other."""
        if not session.holds("databasechangeloglock"):
            return
        for by, since in session.rows("select lockedby, lockgranted from databasechangeloglock where locked"):
            holder = str(by or "").partition(" (")[0]
            if is_among(holder, running):
                raise Unavailable(
                    f"pod {holder} is migrating this database now, since {since}: try again when it has ended"
                )
            if not holder.startswith(_OWNED):
                raise Unavailable(
                    f"{by or 'somebody unnamed'}, which is no pod of a release, has held Liquibase's lock since {since}: "
                    "wait for its end, or release the lock as the database's owner (`liquibase release-locks`)"
                )
            log(f"Liquibase's lock was left by {holder}, a pod that does not run any more: it is released")
            session.rows(
                "update databasechangeloglock set locked = false, lockedby = null, lockgranted = null"
                " where locked and lockedby = %s and lockgranted is not distinct from %s",
                [by, since],
            )

    def update(self, session: Session, state: State, phase: str) -> None:
        """Apply what is pending of a phase."""
        if state.baseline is not None:
            self._adopt(session)
        if not any(phase in (ALL, one.phase) for one in state.pending):
            return
        if phase == CONTRACT:
            applied = {row.id for row in state.applied}
            # Liquibase runs a changeset without labels under every filter
            before = [one.id for one in state.pending if one.phase == EXPAND and one.id not in applied]
            if before:
                raise ServiceFailed(
                    f"expand changesets are not applied yet: {shortened(', '.join(before), 600)}; they come first"
                )
        filters = self._contexts + label_filter(phase, self.chosen.labels)
        command, environment = self._command(
            session.version,
            "--changelog-lock-wait-time-in-minutes=0",
            "update",
            "--show-summary=VERBOSE",
            *filters,
            asks=False,
        )
        code, said = self.tools.watch(command, environment)
        if code:
            raise _failure(said, self.tools.redact)
