"""Findings of squawk over the SQL of pending changesets: locks, and what breaks the version that still runs."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from slipway_migrations.changesets import CONTRACT, Changeset
from slipway_migrations.outcome import Unavailable

# Rules of squawk that tell neither of locks nor of the running version, or of what this program does itself.
LEFT_OUT = {
    "ban-char-field": "style",
    "identifier-too-long": "style",
    "prefer-bigint-over-int": "style",
    "prefer-bigint-over-smallint": "style",
    "prefer-identity": "style",
    "prefer-text-field": "style",
    "prefer-timestamptz": "style",
    "prefer-robust-stmts": "a changeset runs in a transaction, and once",
    "require-table-schema": "style",
    "require-lock-timeout": "every session has one",
    "require-statement-timeout": "every session has one",
    "require-timeout-settings": "every session has them",
    "ban-concurrent-index-creation-in-transaction": "Postgres itself refuses it, on the throwaway database already",
}
# What the contract phase is for: taking away, when nothing that runs needs it any more.
LEGAL_IN_CONTRACT = re.compile(r"ban-drop-(?!database)|renaming-|require-concurrent-index-deletion")
# Settings of the changelog for the linter are not heeded: findings are waived in the catalog, with a reason and a date.
_IGNORES = re.compile("squawk(?=-ignore)", re.IGNORECASE)
_PUBLIC = re.compile(r"(?<![\w.])(?:public|\"public\")\.(?=[\w\"])")
_PLACEHOLDER = re.compile(r"\$\{[^}\n]*\}")
TIMEOUT_S = 60


def findings(
    changesets: Sequence[Changeset],
    run: Callable[[str], list[dict[str, Any]]] | None = None,
    *,
    at_once: bool = False,
) -> list[dict[str, Any]]:
    """Give the findings of all changesets, in order.

    They are linted as one text, since an index on a table that an earlier pending changeset makes locks nobody out; and each
    by itself, since it is a transaction of its own. What stands is found both ways.

    :param run: squawk over one text
    :param at_once: there is no contract phase of its own: what takes something away does so while the old version runs
    """
    run = run or squawk
    together, starts = "", list[int]()
    for one in changesets:
        starts.append(together.count("\n"))
        together += _linted(one)
    found = run(together) if changesets else []
    if len(changesets) > 1 and any(problem["rule_name"] == "syntax-error" for problem in found):
        # what cannot be read hides all that follows it: then each by itself
        return [told for one in changesets for told in findings([one], run, at_once=at_once)]
    told = []
    alone: dict[str, set[tuple[str, int]]] = {}
    for problem in found:
        line = int(problem["line"])
        index = max((i for i, start in enumerate(starts) if start <= line), default=0)
        changeset, rule = changesets[index], str(problem["rule_name"])
        if rule in LEFT_OUT or (
            changeset.phase == CONTRACT and not at_once and LEGAL_IN_CONTRACT.match(rule)
        ):
            continue
        within = line - starts[index]
        if len(changesets) > 1:
            # each changeset is a transaction of its own: what only several of them together are guilty of is no fault
            if changeset.id not in alone:
                own = run(_linted(changeset))
                alone[changeset.id] = {(str(one["rule_name"]), int(one["line"])) for one in own}
            if (rule, within) not in alone[changeset.id]:
                continue
        message = " ".join(part for part in (problem.get("message"), problem.get("help")) if part)
        told.append(
            {
                "id": changeset.id,
                "rule": rule,
                "level": str(problem["level"]).lower(),
                "message": message,
                "file": changeset.file,
                "line": within + 1,
            }
        )
    return told


def _linted(changeset: Changeset) -> str:
    sql = _PLACEHOLDER.sub("placeholder", _IGNORES.sub("not_heeded", changeset.sql))
    # squawk takes a table and its qualified name for two, and so an index on a new table for one on a table in use
    sql = _PUBLIC.sub("", sql)
    return sql.rstrip() + "\n;\n"  # a script may leave out its last semicolon


def squawk(sql: str) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="lint-") as folder:  # of its own: no configuration lies above it
        file = Path(folder) / "pending.sql"
        file.write_text(sql, encoding="utf-8")
        command = ["squawk", "--reporter=json", "--assume-in-transaction", file.name]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, timeout=TIMEOUT_S, check=False)
            found = json.loads(done.stdout or b"[]")
        except (OSError, ValueError, subprocess.TimeoutExpired) as broken:
            raise Unavailable(f"the lint of the pending changesets did not end: {broken}") from broken
    if done.returncode not in (0, 1):
        said = done.stderr.decode(errors="replace").strip()[-300:]
        raise Unavailable(f"the lint of the pending changesets broke (exit {done.returncode}): {said}")
    return list(found)
