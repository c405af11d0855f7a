"""Liquibase: what its changelog holds, by what it would do, and its lock, which outlives who took it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from slipway_migrations import tool
from slipway_migrations.changesets import ALL, CONTRACT, EXPAND, Applied, Changeset, State
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


def phase_of(labels: str | None) -> str:
    return CONTRACT if CONTRACT in [one.strip().lower() for one in (labels or "").split(",")] else EXPAND


def parse(text: str) -> list[Changeset]:
    """Give the changesets that `update-sql` wrote, each with its SQL.

    Every one begins with a comment that names it, and ends with the row that it leaves. Both must agree: what a service
    writes into its own SQL or comments makes no changeset.
    """
    found, begin, at = [], 0, 0
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
            Changeset(
                name, phase_of(row.get("LABELS")), row.get("MD5SUM", ""), sql.strip(), row.get("FILENAME", "")
            )
        )
        begin = at = end
    return found


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

    def check(self) -> None:
        if not (self.root / self.changelog).is_file():
            raise ServiceFailed(
                f"{self.changelog} is not in the image: `deploy.migrations.changelog` names Liquibase's root file"
            )

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
            f"--search-path={self.root}",
            f"--changelog-file={self.changelog}",
        ]
        return ["liquibase", *common, *arguments], {"LIQUIBASE_SHOW_BANNER": "false"}

    def _asked(self, version: int, *, offline: bool) -> list[Changeset]:
        code, answer, said = self.tools.ask(*self._command(version, "update-sql", asks=True, offline=offline))
        if code:
            raise _failure(f"{answer[-4000:]}\n{said}", self.tools.redact)
        return parse(answer)

    def applied(self, session: Session) -> list[Applied]:
        if not session.holds("databasechangelog"):
            return []
        rows = session.rows(
            "select filename, id, author, labels, orderexecuted from databasechangelog order by orderexecuted, dateexecuted"
        )
        return [
            Applied(f"{file}::{name}::{author}", phase_of(labels), place)
            for file, name, author, labels, place in rows
        ]

    def read(self, session: Session) -> State:
        """Give what is applied, what the changelog holds, and what Liquibase would apply: asked of two at the same time."""
        version, applied = session.version, self.applied(session)
        if not applied:  # then one answers for both
            pending = self._asked(version, offline=False)
            return State(applied, pending, pending)
        pending, changelog = self.tools.both(
            lambda: self._asked(version, offline=False), lambda: self._asked(version, offline=True)
        )
        return State(applied, changelog, pending)

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
        filters = {
            EXPAND: [f"--label-filter=!{CONTRACT}"],
            CONTRACT: [f"--label-filter={CONTRACT}"],
            ALL: [],
        }[phase]
        if phase == CONTRACT:
            applied = {row.id for row in state.applied}
            # Liquibase runs a changeset without labels under every filter
            before = [one.id for one in state.pending if one.phase == EXPAND and one.id not in applied]
            if before:
                raise ServiceFailed(
                    f"expand changesets are not applied yet: {shortened(', '.join(before), 600)}; they come first"
                )
        command, environment = self._command(
            session.version, "--changelog-lock-wait-time-in-minutes=0", "update", *filters, asks=False
        )
        code, said = self.tools.watch(command, environment)
        if code:
            raise _failure(said, self.tools.redact)
