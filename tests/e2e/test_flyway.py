"""A service whose schema Flyway owns: what adds runs first, what takes away after verification, and a failure leaves nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest

from slipway.release import Status
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.project import Project, Pushed

# of its own in each session: what earlier ones applied stays in the database
STAMP = int(time.time())
OLD, NEW, HALF = (f"e2e_{STAMP}_{what}" for what in ("old", "new", "half"))
FIRST, EXPAND, CONTRACT, FAILING = (f"V{STAMP}{number}__e2e.sql" for number in (1, 2, 3, 4))
FIRST_FILES = {
    "src/prompt_library/__init__.py": '"""Prompt Library: versioned prompt templates in Postgres, and their rendering."""\n\n'
    '__version__ = "1.0.1"\n',
    f"db/migration/{FIRST}": f"create table {OLD} (id bigint primary key);\n",
}


def _callback(words: str) -> dict[str, str]:
    return {"db/migration/afterMigrate.sql": f"comment on table {NEW} is '{words}';\n"}


BOTH_FILES = {
    **FIRST_FILES,
    **_callback("first"),
    f"db/migration/{EXPAND}": f"create table {NEW} (id bigint primary key);\n",
    f"db/migration/contract/{CONTRACT}": f"drop table {OLD};\n",
}
# Right on the throwaway database, which holds no prompts; not on staging, where the smoke test has stored one.
FAILING_FILES = {
    **BOTH_FILES,
    f"db/migration/{FAILING}": f"create table {HALF} (id bigint primary key);\n"
    "insert into prompts (name) values ('smoke-test');\n",
}


@dataclass
class Staging:
    """The service's database on staging, as its administrator sees it."""

    postgres: Postgres

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        connection = self.postgres.connect("prompt_library")
        try:
            with connection.cursor() as cursor:
                cursor.execute(query)
                found: list[tuple[Any, ...]] = cursor.fetchall()
        finally:
            connection.close()
        return found

    def tables(self) -> set[str]:
        """Give which of this test run's tables are there."""
        names = self.rows("select tablename from pg_tables where schemaname = 'public'")
        return {name for (name,) in names} & {OLD, NEW, HALF}

    def history(self) -> list[str]:
        """Give the scripts that Flyway has applied, in the order in which it did; one that failed stands out."""
        rows = self.rows("select script, success from flyway_schema_history order by installed_rank")
        return [script if success else f"{script} failed" for script, success in rows]

    def comment(self) -> str:
        """Give what the callback wrote last."""
        [(words,)] = self.rows(f"select obj_description('{NEW}'::regclass)")
        return str(words)


@pytest.fixture(scope="module")
def staging(sandbox: Sandbox) -> Staging:
    return Staging(Postgres(sandbox))


@pytest.fixture(scope="module")
def library(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The Prompt Library, its deployment configured."""
    opened = Project(sandbox, tmp_path_factory.mktemp("clone") / "prompt-library", "prompt-library")
    opened.configure()
    return opened


@pytest.fixture(scope="module")
def first(library: Project) -> Pushed:
    """A good push with a migration that no database has yet, whatever ran on this sandbox before."""
    return library.push("Release the second example", files=FIRST_FILES)


def test_push_is_migrated_by_flyway_and_released_healthy(
    library: Project, staging: Staging, first: Pushed
) -> None:
    assert first.state == "success", first.release.reason
    assert first.release.status == Status.PASSED
    assert first.states["deploy.migrate"] == "success"
    assert first.states["deploy.infra"] == first.states["verify.contract"] == "skipped"
    assert first.tasks["deploy.migrate"]["end_date"] < first.tasks["deploy.apply"]["start_date"]
    assert str(first.release.schema_revision) == FIRST
    digests = library.digests(first.commit)
    assert len(set.union(*digests.values())) == 1, digests
    version = library.version()
    assert (version["commit"], version["schema_revision"]) == (first.commit, "V2__notes.sql")
    assert version["version"] == "1.0.1"  # of the code that was pushed
    history = staging.history()
    assert [one for one in history if one.startswith(("V1__", "V2__", "V3__"))] == [
        "V1__prompts.sql",
        "V2__notes.sql",
        "V3__index_variables.sql",
    ]
    assert history[-1] == FIRST
    assert staging.tables() == {OLD}


def test_migrations_belong_to_the_owner_and_the_service_may_use_what_they_made(
    staging: Staging, first: Pushed
) -> None:
    owners = staging.rows("select distinct tableowner from pg_tables where schemaname = 'public'")
    assert owners == [("prompt_library_owner",)]
    valid = "select indisvalid from pg_index where indexrelid = 'prompt_versions_variables'::regclass"
    assert staging.rows(valid) == [(True,)]
    # its smoke test stored one, as the service's own role
    assert staging.rows("select latest >= 1 from prompts where name = 'smoke-test'") == [(True,)]


def test_push_without_a_new_migration_skips_the_branch(
    library: Project, staging: Staging, first: Pushed
) -> None:
    before = staging.history()
    pushed = library.push("Release the same files once more", files=FIRST_FILES)
    assert pushed.state == "success", pushed.release.reason
    skipped = {name for name, state in pushed.states.items() if state == "skipped"}
    assert {"deploy.migrate", "verify.contract", "deploy.infra"} <= skipped
    assert pushed.release.schema_revision == first.release.schema_revision
    assert library.version()["commit"] == pushed.commit
    assert staging.history() == before


def test_what_adds_runs_before_the_rollout_and_what_takes_away_after_verification(
    library: Project, staging: Staging, first: Pushed
) -> None:
    pushed = library.push("Add a table, and drop the one that it replaces", files=BOTH_FILES)
    assert pushed.state == "success", pushed.release.reason
    assert pushed.states["deploy.migrate"] == pushed.states["verify.contract"] == "success"
    order = ("deploy.migrate", "deploy.apply", "verify.health", "verify.contract")
    for earlier, later in pairwise(order):
        assert pushed.tasks[earlier]["end_date"] < pushed.tasks[later]["start_date"], (earlier, later)
    assert staging.history()[-2:] == [EXPAND, f"contract/{CONTRACT}"]
    assert staging.tables() == {NEW}
    assert pushed.release.plan["callbacks"] == [{"id": "afterMigrate.sql", "runs": True, "new": True}]
    assert staging.comment() == "first"
    assert pushed.release.schema_revision_before == first.release.schema_revision
    assert CONTRACT in str(pushed.release.schema_revision)


def test_failing_migration_is_told_with_its_statement_and_leaves_the_database_as_it_was(
    library: Project, staging: Staging, first: Pushed
) -> None:
    serving, history, tables = library.version()["commit"], staging.history(), staging.tables()
    bad = library.push("Migrate into a wall", files=FAILING_FILES)
    assert bad.state == "failed"
    assert (bad.release.status, bad.release.stage) == (Status.FAILED, "deploy.migrate")
    reason = str(bad.release.reason)
    assert FAILING in reason
    assert "duplicate key value violates unique constraint" in reason
    assert "insert into prompts (name) values ('smoke-test')" in reason
    assert bad.tasks["deploy.migrate"]["try_number"] == 1  # the verdict stands: no retry
    assert bad.states["deploy.apply"] == "upstream_failed"
    assert (staging.history(), staging.tables()) == (history, tables)
    assert library.version()["commit"] == serving
    note = library.clone.note(bad.commit)
    assert note is not None
    assert "stage: deploy.migrate" in note

    # no migration is pending, and the callback has changed: that is reason enough
    good = library.push("Mend it", files={**BOTH_FILES, **_callback("second")})
    assert good.state == "success", good.release.reason
    assert (good.release.plan["changesets"], good.release.plan["callbacks_due"]) == ([], True)
    assert good.states["deploy.migrate"] == "success"
    assert (staging.comment(), staging.history()) == ("second", history)
    assert library.version()["commit"] == good.commit
