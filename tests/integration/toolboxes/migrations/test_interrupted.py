# ruff: noqa: S608 -- statements of the test's own
"""What is killed, locked, refused or out of time: whose fault it is, and what the next attempt finds."""

from __future__ import annotations

from typing import Any

import pytest

from integration.toolboxes.migrations.program import (
    FIRST,
    FLYWAYS_LOCK,
    LAST,
    LOGIN,
    POD,
    SLOW,
    Changelog,
    Toolbox,
    until,
    working,
)


def test_killed_half_way_the_next_attempt_does_what_is_left(toolbox: Toolbox, changelog: Changelog) -> None:
    postgres, files = toolbox.postgres, changelog.files(FIRST, SLOW, LAST)
    planned = toolbox.run(files, "status", *changelog.options).result["pending_sha"]
    update = ("update", *changelog.options, "--phase", "expand", "--planned", planned)
    postgres.sql("insert into test.control values (true)")
    killed = toolbox.start(files, *update)
    until(lambda: working(postgres))
    # while it works, another one of a pod that runs waits for nothing and touches nothing
    living = toolbox.run(files, *update, pod="deploy-migrate-bbbb2222", environment={"PODS": f"other {POD}"})
    assert living.code == 3, living.said
    assert working(postgres)
    toolbox.kill(killed)
    postgres.sql("delete from test.control")
    ran = toolbox.run(files, *update, pod="deploy-migrate-cccc3333", environment={"PODS": "other"})
    assert ran.code == 0, ran.said
    assert [one["id"] for one in ran.result["applied"]] == [changelog.id(2, "slow"), changelog.id(3, "last")]
    assert postgres.tables() == ["first", "last", "slow"]
    if changelog.engine == "liquibase":
        assert f"left by {POD}" in ran.said


@pytest.mark.parametrize(
    ("holder", "pods", "says"),
    [
        (POD, f"other {POD}", "is migrating this database now"),
        ("somebodys-laptop", "other", "no pod of a release"),
    ],
)
def test_lock_of_somebody_who_lives_is_left_alone(
    toolbox: Toolbox, holder: str, pods: str, says: str
) -> None:
    changelog = Changelog("liquibase")
    assert not toolbox.run(changelog.files(FIRST), "update", *changelog.options, "--phase", "all").code
    toolbox.postgres.sql(
        f"update databasechangeloglock set locked = true, lockedby = '{holder} (10.0.0.1)', lockgranted = now()"
    )
    files = changelog.files(FIRST, LAST)
    status = toolbox.run(files, "status", *changelog.options)  # asking needs no lock
    assert status.code == 0, status.said
    ran = toolbox.run(
        files,
        "update",
        *changelog.options,
        "--phase",
        "all",
        pod="deploy-migrate-new",
        environment={"PODS": pods},
    )
    assert ran.code == 3, ran.said
    assert says in ran.result["error"]
    assert holder in ran.result["error"]
    assert toolbox.postgres.sql("select lockedby from databasechangeloglock") == f"{holder} (10.0.0.1)"
    assert toolbox.postgres.tables() == ["first"]


def test_table_that_somebody_holds_is_waited_for_seconds_only(toolbox: Toolbox, changelog: Changelog) -> None:
    assert not toolbox.run(changelog.files(FIRST), "update", *changelog.options, "--phase", "all").code
    postgres = toolbox.postgres
    alter = ("alter", "expand", "alter table first add column more text")
    holder = postgres.engine.docker(
        *("exec", "-d", *LOGIN, postgres.server, "psql", "-U", "postgres", "-d", postgres.name),
        *("-c", "begin; lock table first; select pg_sleep(240)"),
    )
    assert not holder.returncode
    until(
        lambda: (
            postgres.sql(
                "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = 'first'::regclass"
            )
            == "1"
        )
    )
    ran = toolbox.run(changelog.files(FIRST, alter), "update", *changelog.options, "--phase", "expand")
    assert ran.code == 3, ran.said
    assert "lock timeout" in ran.result["error"]
    postgres.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(240)%' and pid <> pg_backend_pid()"
    )


@pytest.mark.parametrize(
    ("change", "says"), [({"password": "wrong"}, "password authentication failed"), ({"port": 1}, "refused")]
)
@pytest.mark.parametrize("command", [("status",), ("update", "--phase", "all")])
def test_database_that_refuses_or_is_away_is_no_fault_of_the_changelog(
    toolbox: Toolbox, change: dict[str, Any], says: str, command: tuple[str, ...]
) -> None:
    changelog = Changelog("flyway")
    credentials = toolbox.postgres.credentials(**change)
    ran = toolbox.run(
        changelog.files(FIRST), command[0], *changelog.options, *command[1:], credentials=credentials
    )
    assert ran.code == 3, ran.said
    assert says in ran.result["error"].lower()


def test_flyway_run_by_hand_is_waited_for_and_then_not_disturbed(toolbox: Toolbox) -> None:
    changelog, postgres = Changelog("flyway"), toolbox.postgres
    assert not toolbox.run(changelog.files(FIRST), "update", *changelog.options, "--phase", "all").code
    postgres.engine.docker(
        *("exec", "-d", *LOGIN, postgres.server, "psql", "-U", "postgres", "-d", postgres.name),
        *("-c", f"select pg_advisory_lock({FLYWAYS_LOCK})", "-c", "select pg_sleep(240)"),
    )
    until(lambda: postgres.sql("select count(*) from pg_locks where locktype = 'advisory'") != "0")
    ran = toolbox.run(changelog.files(FIRST, LAST), "update", *changelog.options, "--phase", "all")
    assert ran.code == 3, ran.said
    assert "advisory lock" in ran.result["error"]
    assert postgres.tables() == ["first"]


def test_statement_that_takes_too_long_is_the_changelogs_fault(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    toolbox.postgres.sql("insert into test.control values (true)")
    ran = toolbox.run(
        changelog.files(SLOW), "update", *changelog.options, "--phase", "all", "--statement-timeout-s", "1"
    )
    assert ran.code == 1, ran.said
    assert "statement timeout" in ran.result["error"]
    assert toolbox.postgres.tables() == []


def test_pod_that_runs_out_of_time_says_so_and_leaves_nothing_half(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    postgres = toolbox.postgres
    postgres.sql("insert into test.control values (true)")
    name = toolbox.start(changelog.files(FIRST, SLOW), "update", *changelog.options, "--phase", "all")
    until(lambda: working(postgres))
    postgres.engine.docker("kill", "--signal", "TERM", name)
    ran = toolbox.end(name)
    assert ran.code == 3, ran.said
    assert "signal 15" in ran.result["error"]
    assert ran.result["revision"] == changelog.id(1, "first")
    assert postgres.tables() == ["first"]
