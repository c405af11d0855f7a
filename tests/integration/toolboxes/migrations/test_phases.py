# ruff: noqa: S608 -- statements of the test's own
"""What each phase plans and applies, and what is told when a changeset fails; both engines."""

from __future__ import annotations

import json
import time
import uuid

from integration.toolboxes.migrations.program import (
    DROP,
    FIRST,
    INDEX,
    LAST,
    STORY,
    Changelog,
    Ran,
    Toolbox,
    liquibase,
)


def test_status_tells_what_each_phase_would_do_and_what_squawk_says(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    drop = ("drop", "expand", DROP[2])
    unknown = toolbox.run(
        changelog.files(FIRST, INDEX, drop, LAST, works_from="absent"), "status", *changelog.options
    )
    assert (unknown.code, "works-from" in unknown.result["error"]) == (1, True)
    needed = changelog.id(1, "first").partition("::")[2] or changelog.id(1, "first")
    files = changelog.files(FIRST, INDEX, drop, LAST, works_from=f"{needed}\n")
    ran = toolbox.run(files, "status", *changelog.options)
    assert ran.code == 0, ran.said
    found = ran.result
    names = ("first", "index", "drop", "last")
    assert found["pending"] == [
        {"id": changelog.id(number, name), "phase": "expand", "order": number}
        for number, name in enumerate(names, 1)
    ]
    assert (found["pending_count"], found["applied"], found["applied_count"], found["revision"]) == (
        4,
        [],
        0,
        None,
    )
    assert found["head"] == changelog.id(4, "last")
    assert found["works_from"] == changelog.id(1, "first")
    assert [(one["id"], one["rule"]) for one in found["lint"]] == [
        (changelog.id(3, "drop"), "ban-drop-column")
    ]
    assert toolbox.postgres.tables() == []


def test_each_phase_applies_its_own_and_what_is_taken_away_comes_last(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    files = changelog.files(*STORY)
    status = toolbox.run(files, "status", *changelog.options)
    assert status.code == 0, status.said
    assert status.result["lint"] == []  # the index is made concurrently, and the drop is a contract changeset
    planned = ("--planned", status.result["pending_sha"])

    def update(phase: str) -> Ran:
        return toolbox.run(files, "update", *changelog.options, "--phase", phase, *planned)

    expand = update("expand")
    assert expand.code == 0, expand.said
    assert expand.result["applied"] == [
        {"id": changelog.id(number, name), "phase": "expand"}
        for number, name in ((1, "first"), (2, "index"), (4, "last"))
    ]
    assert (expand.result["revision_before"], expand.result["revision"]) == (None, changelog.id(4, "last"))
    assert toolbox.postgres.tables() == ["first", "first_old", "last"]
    again = update("expand")
    assert (again.code, again.result.get("applied"), again.result["left"]) == (0, [], []), again.said
    contract = update("contract")
    assert contract.code == 0, contract.said
    assert contract.result["applied"] == [{"id": changelog.id(3, "drop", "contract"), "phase": "contract"}]
    assert toolbox.postgres.tables() == ["first", "last"]
    after = toolbox.run(files, "status", *changelog.options).result
    assert (after["pending"], after["applied_count"], after["revision"]) == (
        [],
        4,
        changelog.id(3, "drop", "contract"),
    )
    # an older image sees more applied than it knows
    older = toolbox.run(changelog.files(FIRST, INDEX), "status", *changelog.options)
    assert older.code == 0, older.said
    assert (older.result["pending"], older.result["head"]) == ([], changelog.id(2, "index"))
    assert older.result["applied"][-1]["id"] == changelog.id(3, "drop", "contract")
    # who knows an answer to the same question need not wait for it
    assert status.result["of"] is None
    offered = {"KNOWN": f"{older.result['of']} {after['of']}"}
    known = toolbox.run(files, "status", *changelog.options, environment=offered)
    assert (known.code, known.result) == (0, {"of": after["of"], "known": True}), known.said
    toolbox.postgres.sql("create table meanwhile as select 1")
    assert toolbox.run(files, "status", *changelog.options, environment=offered).result == known.result
    other = toolbox.run(files, "status", *changelog.options, "--at-once", environment=offered)
    assert other.result["pending"] == []
    assert other.result["of"] not in (None, *offered["KNOWN"].split())


def test_everything_at_once_without_a_plan(toolbox: Toolbox, changelog: Changelog) -> None:
    ran = toolbox.run(changelog.files(*STORY), "update", *changelog.options, "--phase", "all")
    assert ran.code == 0, ran.said
    assert [one["phase"] for one in ran.result["applied"]] == ["expand", "expand", "contract", "expand"]


def test_contract_does_not_take_expand_changesets_along(toolbox: Toolbox, changelog: Changelog) -> None:
    ran = toolbox.run(changelog.files(*STORY), "update", *changelog.options, "--phase", "contract")
    assert ran.code == 1
    assert toolbox.postgres.tables() == []


def test_failing_changeset_leaves_the_database_as_it_was_before_it(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    bad = ("bad", "expand", "create table half (id bigint); select nonsense from first")
    ran = toolbox.run(changelog.files(FIRST, bad, LAST), "update", *changelog.options, "--phase", "expand")
    assert ran.code == 1, ran.said
    assert changelog.id(2, "bad") in ran.result["error"]
    assert 'column "nonsense" does not exist' in ran.result["error"]
    assert ran.result["statement"] == "select nonsense from first"
    assert ran.result["applied"] == [{"id": changelog.id(1, "first"), "phase": "expand"}]
    assert ran.result["revision"] == changelog.id(1, "first")
    assert ran.result["left"] == [changelog.id(2, "bad"), changelog.id(3, "last")]
    assert ran.result["left_count"] == 2
    assert toolbox.postgres.tables() == ["first"]


def test_values_of_the_row_that_a_changeset_fails_on_are_not_told(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    table = ("first", "expand", "create table first (id bigint primary key, words text not null)")
    assert not toolbox.run(changelog.files(table), "update", *changelog.options, "--phase", "all").code
    toolbox.postgres.sql("insert into first values (1, 'only between us')")
    bad = ("bad", "expand", "alter table first add check (id > 1) not valid; update first set id = 0")
    ran = toolbox.run(changelog.files(table, bad), "update", *changelog.options, "--phase", "all")
    assert ran.code == 1, ran.said
    assert "violates check constraint" in ran.result["error"]
    assert "between us" not in ran.said + json.dumps(ran.result)


def test_statement_without_a_transaction_that_failed_runs_again(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    index = ("index", "expand", "create index concurrently first_old on first (absent)")
    files = changelog.files(FIRST, index)
    ran = toolbox.run(files, "update", *changelog.options, "--phase", "expand")
    assert ran.code == 1, ran.said
    assert toolbox.run(files, "status", *changelog.options).result["pending_count"] == 1
    toolbox.postgres.sql("alter table first add column absent text")
    again = toolbox.run(files, "update", *changelog.options, "--phase", "expand")
    assert again.code == 0, again.said
    assert toolbox.postgres.tables() == ["first", "first_old"]


def test_edited_changeset_is_the_services_fault(toolbox: Toolbox, changelog: Changelog) -> None:
    assert not toolbox.run(changelog.files(FIRST), "update", *changelog.options, "--phase", "all").code
    edited = ("first", "expand", "create table first (id bigint primary key, new text)")
    ran = toolbox.run(changelog.files(edited, LAST), "status", *changelog.options)
    assert ran.code == 1, ran.said
    assert "check" in ran.result["error"].lower()


def test_database_that_was_changed_since_the_plan_is_left_alone(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    planned = toolbox.run(changelog.files(FIRST), "status", *changelog.options).result
    more = changelog.files(FIRST, LAST)
    ran = toolbox.run(
        more,
        *("update", *changelog.options, "--phase", "expand", "--planned", planned["pending_sha"]),
        environment={"PLANNED": json.dumps([one["id"] for one in planned["pending"]])},
    )
    assert ran.code == 1, ran.said
    assert "not what the plan was made of" in ran.result["error"]
    assert f"new: {changelog.id(2, 'last')}" in ran.result["error"]
    assert toolbox.postgres.tables() == []


def test_broken_changelog_is_the_services_fault(toolbox: Toolbox) -> None:
    first, flyway = Changelog("liquibase"), Changelog("flyway")
    missing = toolbox.run(first.files(FIRST), "status", *liquibase("migrations/absent.yaml"))
    assert (missing.code, "absent.yaml" in missing.result["error"]) == (1, True)
    broken = {"migrations/root.yaml": "databaseChangeLog: [{include: {file: nowhere.sql}}]"}
    ran = toolbox.run(broken, "status", *liquibase("migrations/root.yaml"))
    assert (ran.code, "nowhere.sql" in ran.result["error"]) == (1, True), ran.said
    named = toolbox.run({"migrations/V1_no.sql": "select 1;"}, "status", *flyway.options)
    assert (named.code, "V1_no.sql" in named.result["error"]) == (1, True), named.said
    outside = toolbox.run(
        flyway.files(FIRST), "status", "--engine", "flyway", "--changelog", "../run/slipway"
    )
    assert (outside.code, "leads out" in outside.result["error"]) == (1, True)


def test_nothing_tells_the_password(toolbox: Toolbox, changelog: Changelog) -> None:
    password = str(toolbox.postgres.credentials()["password"])
    tells = ("tells", "expand", f"select 1 from {password.replace(chr(92), '').split()[0]}")
    ran = toolbox.run(changelog.files(FIRST, tells), "update", *changelog.options, "--phase", "all")
    assert ran.code == 1
    assert password not in ran.said
    assert password not in json.dumps(ran.result, ensure_ascii=False)


def test_hundreds_of_changesets_fit_into_a_termination_message(
    toolbox: Toolbox, changelog: Changelog
) -> None:
    many = [
        (f"changeset{n}_{uuid.uuid4().hex}", "expand", f"create table t{n} (id bigint primary key)")
        for n in range(300)
    ]
    began = time.monotonic()
    ran = toolbox.run(changelog.files(*many), "status", *changelog.options)
    print(f"status of 300 pending, {changelog.engine}: {time.monotonic() - began:.1f} s")
    assert ran.code == 0, ran.said
    assert ran.result["pending_count"] == 300
    assert 10 <= len(ran.result["pending"]) <= 40
    assert ran.result["pending"][0]["id"] == changelog.id(1, many[0][0])


def test_flyways_repeatable_script_is_pending_again_when_it_was_edited(toolbox: Toolbox) -> None:
    options = ("--engine", "flyway", "--changelog", "migrations")

    def files(value: int) -> dict[str, str]:
        view = f"create or replace view seen as select {value} as value;"
        return {"migrations/V1__first.sql": f"{FIRST[2]};", "migrations/R__seen.sql": view}

    assert not toolbox.run(files(1), "update", *options, "--phase", "expand").code
    assert toolbox.run(files(1), "status", *options).result["pending"] == []
    status = toolbox.run(files(2), "status", *options).result
    assert [one["id"] for one in status["pending"]] == ["R__seen.sql"]
    assert status["head"] == "V1__first.sql"
    ran = toolbox.run(files(2), "update", *options, "--phase", "expand", "--planned", status["pending_sha"])
    assert ran.code == 0, ran.said
    assert toolbox.postgres.sql("select value from seen") == "2"
