"""What of a changelog runs: contexts, programs, databases that are older than it, callbacks."""

from __future__ import annotations

from typing import Any

import pytest

from integration.toolboxes.migrations.program import (
    DROP,
    FIRST,
    FLYWAY,
    LAST,
    SLOW,
    STORY,
    Changelog,
    Toolbox,
    liquibase,
    until,
    working,
)

CONTEXTS = {
    "migrations/root.yaml": """databaseChangeLog:
  - property: {name: who, value: made up, context: test}
  - property: {name: who, value: real, context: staging}
  - changeSet: {id: customers, author: team, changes: [{sql: {sql: "create table customers (id bigint primary key, name text)"}}]}
  - changeSet:
      id: made-up
      author: team
      context: test
      changes: [{insert: {tableName: customers, columns: [{column: {name: id, valueNumeric: "1"}}]}}]
  - changeSet:
      id: not-test
      author: team
      contextFilter: "!test"
      changes: [{sql: {sql: "insert into customers values (2, '${who}')"}}]
  - changeSet: {id: drop, author: team, labels: contract, contextFilter: staging, changes: [{sql: {sql: "select 1"}}]}
  - changeSet: {id: drop-test, author: team, labels: contract, contextFilter: test, changes: [{sql: {sql: "select 1"}}]}
  - changeSet: {id: other, author: team, labels: extra, changes: [{sql: {sql: "create table extra ()"}}]}
  - include: {file: more.sql, relativeToChangelogFile: true, contextFilter: prod}
""",
    "migrations/more.sql": "--liquibase formatted sql\n--changeset team:prod-only\ncreate table prod ();\n",
}


def _ids(told: list[dict[str, Any]]) -> list[str]:
    return [one["id"].split("::")[1] for one in told]


def test_only_changesets_whose_context_holds_run_and_the_others_are_told(toolbox: Toolbox) -> None:
    options = liquibase("migrations/root.yaml")
    status = toolbox.run(CONTEXTS, "status", *options)
    assert status.code == 0, status.said
    assert _ids(status.result["pending"]) == ["customers", "not-test", "drop", "other"]
    assert [(one["id"], one["why"]) for one in status.result["left_out"]] == [
        ("migrations/root.yaml::made-up::team", "its context is `test`, and `staging` holds here"),
        ("migrations/root.yaml::drop-test::team", "its context is `test`, and `staging` holds here"),
        ("migrations/more.sql::prod-only::team", "its context is `prod`, and `staging` holds here"),
    ]
    for phase, applied in (("expand", ["customers", "not-test", "other"]), ("contract", ["drop"])):
        planned = ("--phase", phase, "--planned", status.result["pending_sha"])
        ran = toolbox.run(CONTEXTS, "update", *options, *planned)
        assert ran.code == 0, ran.said
        assert _ids(ran.result["applied"]) == applied
    assert toolbox.postgres.sql("select * from customers") == "2|real"
    after = toolbox.run(CONTEXTS, "status", *options).result
    assert (after["pending"], after["left_out_count"]) == ([], 3)


def test_gates_have_contexts_of_their_own(toolbox: Toolbox) -> None:
    ran = toolbox.run(
        CONTEXTS,
        "update",
        *liquibase("migrations/root.yaml", "test"),
        "--phase",
        "all",
        "--labels",
        "!extra",
    )
    assert ran.code == 0, ran.said
    assert _ids(ran.result["applied"]) == ["customers", "made-up", "drop-test"]


def test_without_contexts_liquibase_is_not_even_asked(toolbox: Toolbox) -> None:
    ran = toolbox.run(CONTEXTS, "status", "--engine", "liquibase", "--changelog", "migrations/root.yaml")
    assert (ran.code, "no contexts are given" in ran.result["error"]) == (3, True)


def _changelog(changes: str, **more: str) -> dict[str, str]:
    return {
        "migrations/root.yaml": f"databaseChangeLog:\n  - changeSet: {{id: one, author: team, {changes}}}\n",
        **more,
    }


def test_changeset_that_runs_a_program_is_refused_by_name(toolbox: Toolbox) -> None:
    files = _changelog("changes: [{executeCommand: {executable: touch, args: [{arg: {value: /tmp/x}}]}}]")
    for command in (("status",), ("update", "--phase", "all")):
        ran = toolbox.run(files, command[0], *liquibase("migrations/root.yaml"), *command[1:])
        assert ran.code == 1, ran.said
        assert "migrations/root.yaml::one::team: executeCommand runs a program" in ran.result["error"]


def test_nothing_that_an_engine_runs_can_start_a_program(toolbox: Toolbox) -> None:
    """A description holds 255 characters: what comes after them is not read, and must not run all the same."""
    long = ", ".join(f"{{sql: {{sql: select {n}}}}}" for n in range(60))
    files = _changelog(
        f"changes: [{long}, {{executeCommand: {{executable: touch, args: [{{arg: {{value: /tmp/x}}}}]}}}}]"
    )
    ran = toolbox.run(files, "update", *liquibase("migrations/root.yaml"), "--phase", "all")
    assert ran.code == 1, ran.said
    assert "Cannot run program" in ran.result["error"]


def test_file_beside_the_changelogs_folder_is_not_found_in_a_gate_either(toolbox: Toolbox) -> None:
    files = _changelog("changes: [{sqlFile: {path: other/x.sql}}]", **{"other/x.sql": "select 1;"})
    ran = toolbox.run(files, "update", *liquibase("migrations/root.yaml"), "--phase", "all")
    assert (ran.code, "other/x.sql" in ran.result["error"]) == (1, True), ran.said


def test_changeset_that_fails_without_failing_the_update_fails_it(toolbox: Toolbox) -> None:
    files = _changelog('failOnError: false, changes: [{sql: {sql: "select nothing"}}]')
    ran = toolbox.run(files, "update", *liquibase("migrations/root.yaml"), "--phase", "all")
    assert ran.code == 1, ran.said
    assert "planned, and not run: migrations/root.yaml::one::team" in ran.result["error"]


def test_changeset_that_its_precondition_marks_is_told(toolbox: Toolbox) -> None:
    conditions = "preConditions: [{onFail: MARK_RAN}, {tableExists: {tableName: absent}}]"
    files = _changelog(f'{conditions}, changes: [{{sql: {{sql: "create table marked ()"}}}}]')
    ran = toolbox.run(files, "update", *liquibase("migrations/root.yaml"), "--phase", "all")
    assert ran.code == 0, ran.said
    assert ran.result["applied"] == [
        {"id": "migrations/root.yaml::one::team", "phase": "expand", "marked": True}
    ]
    assert "not run, only marked: migrations/root.yaml::one::team" in ran.said
    assert toolbox.postgres.tables() == []


def test_database_that_is_older_than_its_history_is_told_before_anything_runs(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    toolbox.postgres.sql(f"set role {toolbox.postgres.name}; create table customers (id bigint primary key)")
    for command in (("status",), ("update", "--phase", "all")):
        ran = toolbox.run(changelog.files(*STORY), command[0], *changelog.options, *command[1:])
        assert ran.code == 1, ran.said
        assert "is older than its migrations: it holds customers," in ran.result["error"]
        assert "`deploy.migrations.baseline`" in ran.result["error"]
    assert toolbox.postgres.tables() == ["customers"]


@pytest.mark.parametrize("has", ["first", "nothing"])
def test_baseline_says_what_an_older_database_has(toolbox: Toolbox, changelog: Changelog, has: str) -> None:
    postgres, files = toolbox.postgres, changelog.files(FIRST, DROP, LAST)
    table = FIRST[2] if has == "first" else "create table other (id bigint)"
    postgres.sql(f"set role {postgres.name}; {table}")
    baseline = "0" if has == "nothing" else "1" if changelog.engine == "flyway" else "::first::me"
    options = (*changelog.options, "--baseline", baseline)
    status = toolbox.run(files, "status", *options)
    assert status.code == 0, status.said
    first = changelog.id(1, "first")
    pending = [changelog.id(2, "drop", "contract"), changelog.id(3, "last")]
    pending = pending if has == "first" else [first, *pending]
    assert [one["id"] for one in status.result["pending"]] == pending
    assert status.result["baseline"] == baseline
    assert [one["id"] for one in status.result["left_out"]] == ([first] if has == "first" else [])
    for phase in ("expand", "contract"):
        planned = ("--phase", phase, "--planned", status.result["pending_sha"])
        ran = toolbox.run(files, "update", *options, *planned)
        assert ran.code == 0, ran.said
        if phase == "expand":
            marked = [one["id"] for one in ran.result["applied"] if one.get("marked")]
            assert marked == ([first] if has == "first" and changelog.engine == "flyway" else [])
    after = toolbox.run(files, "status", *options).result
    assert (after["pending"], after["applied_count"], after["baseline"]) == ([], 3, None)
    assert "last" in postgres.tables()


def test_baseline_is_made_once_where_the_first_attempt_was_killed(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    postgres, files = toolbox.postgres, changelog.files(FIRST, SLOW)
    postgres.sql(f"set role {postgres.name}; {FIRST[2]}")
    postgres.sql("insert into test.control values (true)")
    options = (*changelog.options, "--baseline", "1" if changelog.engine == "flyway" else "::first::me")
    planned = toolbox.run(files, "status", *options).result["pending_sha"]
    update = ("update", *options, "--phase", "expand", "--planned", planned)
    killed = toolbox.start(files, *update)
    until(lambda: working(postgres))
    toolbox.kill(killed)
    postgres.sql("delete from test.control")
    ran = toolbox.run(files, *update, pod="deploy-migrate-cccc3333", environment={"PODS": "other"})
    assert ran.code == 0, ran.said
    assert [one["id"] for one in ran.result["applied"]] == [changelog.id(2, "slow")]


NOTES = {"migrations/V1__notes.sql": "create table notes (id bigint primary key, body text not null);"}
RAN = "create table if not exists ran (what text); insert into ran values"


def _callback(what: str, name: str = "afterMigrate") -> dict[str, str]:
    return {f"migrations/{name}.sql": f"{RAN} ('{what}');"}


def test_changed_callback_is_planned_and_runs_though_no_migration_is_pending(toolbox: Toolbox) -> None:
    def ran() -> str:
        return toolbox.postgres.sql("select string_agg(what, ' ') from ran")

    each = _callback("each", "afterEachMigrate")
    files = NOTES | _callback("first") | each
    status = toolbox.run(files, "status", *FLYWAY).result
    assert status["callbacks"] == [
        {"id": "afterEachMigrate.sql", "runs": True, "new": True},
        {"id": "afterMigrate.sql", "runs": True, "new": True},
    ]
    update = ("update", *FLYWAY, "--phase", "expand", "--planned")
    assert toolbox.run(files, *update, status["pending_sha"]).code == 0
    assert ran() == "each first"
    status = toolbox.run(files, "status", *FLYWAY).result
    assert ([one["runs"] for one in status["callbacks"]], status["callbacks_due"]) == ([False, False], False)
    assert toolbox.run(files, *update, status["pending_sha"]).code == 0
    assert ran() == "each first"  # nothing is due, so Flyway is not called

    changed = NOTES | _callback("second", "sub/afterMigrate__grants") | each
    other = toolbox.run(changed, *update, status["pending_sha"])
    assert (other.code, "not what the plan was made of" in other.result["error"]) == (1, True), other.said
    status = toolbox.run(changed, "status", *FLYWAY).result
    assert (status["pending"], status["callbacks_due"]) == ([], True)
    for _ in range(2):  # a second attempt finds nothing to do
        again = toolbox.run(changed, *update, status["pending_sha"])
        assert again.code == 0, again.said
    assert ran() == "each first second"

    later = NOTES | _callback("second", "sub/afterMigrate__grants") | _callback("later", "afterEachMigrate")
    status = toolbox.run(later, "status", *FLYWAY).result
    assert {one["id"]: (one["runs"], one["new"]) for one in status["callbacks"]} == {
        "afterEachMigrate.sql": (False, True),  # it waits for the next migration
        "sub/afterMigrate__grants.sql": (False, False),
    }
    assert not status["callbacks_due"]


def test_callbacks_sql_is_linted_as_a_migrations_is(toolbox: Toolbox) -> None:
    assert toolbox.run(NOTES, "update", *FLYWAY, "--phase", "all").code == 0
    status = toolbox.run(
        NOTES | {"migrations/afterMigrate.sql": "alter table notes drop column body;"}, "status", *FLYWAY
    )
    assert [(one["id"], one["rule"], one["file"]) for one in status.result["lint"]] == [
        ("afterMigrate.sql", "ban-drop-column", "migrations/afterMigrate.sql")
    ]


def test_asking_runs_nothing_of_the_services(toolbox: Toolbox) -> None:
    writes = f"set session characteristics as transaction read write; commit; {RAN} ('asked');"
    files = NOTES | {
        f"migrations/{name}.sql": writes for name in ("beforeInfo", "afterInfo", "beforeMigrate")
    }
    status = toolbox.run(files, "status", *FLYWAY)
    assert status.code == 0, status.said
    assert [one["id"] for one in status.result["left_out"]] == ["afterInfo.sql", "beforeInfo.sql"]
    assert toolbox.postgres.tables() == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("beforeConnect.sql", "outside of the plan"),
        ("beforeValidate__x.sql", "outside of the plan"),
        ("createSchema.sql", "outside of the plan"),
        ("V2__x.sh", "only SQL is run here"),
        ("afterMigrate.ps1", "only SQL is run here"),
        ("V2__X.SQL", "only SQL is run here"),
        ("v2__x.sql", "v2__x.sql"),
        ("aftermigrate.sql", "aftermigrate.sql"),
        ("B1__x.sql", "baseline migration"),
        ("V1__note.sql.conf", "belongs to no script"),
    ],
)
def test_script_that_would_run_unplanned_or_not_at_all_is_refused_by_name(
    toolbox: Toolbox, name: str, says: str
) -> None:
    ran = toolbox.run(NOTES | {f"migrations/{name}": "select 1;"}, "status", *FLYWAY)
    assert ran.code == 1, ran.said
    assert name in ran.result["error"]
    assert says in ran.result["error"]
