"""What slipway-migrations decides without a database: changesets out of Liquibase's and Flyway's words, plan, lint, result."""

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slipway_migrations import changesets, database, flyway, lint, liquibase, outcome
from slipway_migrations.changesets import Applied, Callback, Changeset, State
from slipway_migrations.outcome import ServiceFailed

RECORD = (
    "INSERT INTO public.databasechangelog (ID, AUTHOR, FILENAME, DATEEXECUTED, ORDEREXECUTED, MD5SUM, DESCRIPTION, COMMENTS,"
    " EXECTYPE, CONTEXTS, LABELS, LIQUIBASE, DEPLOYMENT_ID) VALUES ({}, NOW(), 1, '9:aa', 'sql', 'it''s\n(a); comment',"
    " 'EXECUTED', NULL, {}, '4.28.0', '5547393529');"
)
SQL = """SET SEARCH_PATH TO public, "$user","public";

-- Lock Database
UPDATE public.databasechangeloglock SET LOCKED = TRUE WHERE ID = 1 AND LOCKED = FALSE;

-- Changeset a.sql::a1::me
-- its comment
SET SEARCH_PATH TO public, "$user","public";

create table plain (id bigint primary key);

@0

-- Changeset root.yaml::y3::me ' you
SET SEARCH_PATH TO public, "$user","public";

-- Changeset a.sql::fake::me
@1
drop table plain;

@2

-- Changeset root.yaml::y2::me
select 1;

UPDATE public.databasechangelog SET COMMENTS = '', CONTEXTS = NULL, DATEEXECUTED = NOW(), DEPLOYMENT_ID = '5548600006', \
DESCRIPTION = 'sql', EXECTYPE = 'RERAN', LABELS = NULL, LIQUIBASE = '4.28.0', MD5SUM = '9:bb', ORDEREXECUTED = 2 \
WHERE ID = 'y2' AND AUTHOR = 'me' AND FILENAME = 'root.yaml';

-- Release Database Lock
"""
for place, record in enumerate(
    (
        RECORD.format("'a1', 'me', 'a.sql'", "NULL"),
        RECORD.format("'fake', 'else', 'a.sql'", "NULL"),
        RECORD.format("'y3', 'me '' you', 'root.yaml'", "'foo, contract'"),
    )
):
    SQL = SQL.replace(f"@{place}", record)


def test_changesets_are_read_out_of_the_sql_that_liquibase_would_run() -> None:
    first, second, third = liquibase.parse(SQL)
    assert (first.id, first.phase, first.checksum, first.file) == ("a.sql::a1::me", "expand", "9:aa", "a.sql")
    assert first.sql == "-- its comment\n\n\ncreate table plain (id bigint primary key);"
    assert (second.id, second.phase) == ("root.yaml::y3::me ' you", "contract")
    assert "drop table plain" in second.sql
    assert (third.id, third.phase, third.checksum) == ("root.yaml::y2::me", "expand", "9:bb")


@given(st.text(alphabet="INSERT INTO databasechangelog(ID)VALUES'-Changeset:;\n ", max_size=300))
def test_no_sql_breaks_the_reading(text: str) -> None:
    assert isinstance(liquibase.parse(text), list)


@pytest.mark.parametrize(
    ("labels", "phase"),
    [
        (None, "expand"),
        ("", "expand"),
        ("expand", "expand"),
        ("contract", "contract"),
        ("a, Contract", "contract"),
        ("contracted", "expand"),
    ],
)
def test_label_contract_makes_the_phase(labels: str | None, phase: str) -> None:
    assert liquibase.phase_of(labels) == phase


def test_liquibases_reason_names_changeset_and_statement() -> None:
    said = """ERROR: Exception Primary Source:  PostgreSQL 18.6

Unexpected error running Liquibase: Migration failed for changeset a.sql::a2::me:
     Reason: liquibase.exception.DatabaseException: ERROR: relation "nowhere" does not exist
  Position: 22 [Failed SQL: (0) select nonsense
from nowhere]
For more information, please use the --log-level flag
"""
    why, statement = liquibase.reason(said)
    assert why == 'changeset a.sql::a2::me: ERROR: relation "nowhere" does not exist Position: 22'
    assert statement == "select nonsense\nfrom nowhere"


def test_liquibases_reason_names_the_changeset_that_was_edited() -> None:
    said = """ERROR: Exception Details
ERROR: Exception Primary Reason:  Validation Failed:
     1 changesets check sum
          a.sql::a1::me was: 9:16 but is now: 9:de

ERROR: Exception Primary Source:  4.28.0

Unexpected error running Liquibase: Validation Failed:

For more information, please use the --log-level flag
"""
    assert liquibase.reason(said)[0] == (
        "Validation Failed: 1 changesets check sum a.sql::a1::me was: 9:16 but is now: 9:de"
    )


@pytest.mark.parametrize("value", ["plain", "a b:c=d#e!f\\", "ü€😀\n"])
def test_value_of_a_properties_file_is_escaped(value: str) -> None:
    escaped = liquibase.escaped(value)
    assert escaped.isascii()
    assert json.loads(f'"{escaped}"') == value  # JSON escapes the same way


def _info(*migrations: tuple[str, str, str], below: str = "/tmp/x/shown-all") -> dict[str, Any]:
    told = []
    for script, version, state in migrations:
        path = f"{below}/{script}" if script else ""
        told.append(
            {
                "filepath": path,
                "version": version,
                "description": script,
                "state": state,
                "category": "Versioned",
            }
        )
    return {"migrations": told}


def test_flyways_order_is_that_of_versions_whatever_was_applied_first() -> None:
    info = _info(
        ("V1.10__d.sql", "1.10", "Success"),
        ("V1__a.sql", "1", "Success"),
        ("R__view.sql", "", "Outdated"),
        ("", "0.9", "Missing"),
        ("contract/V1.9__c.sql", "1.9", "Pending"),
        ("V1_2__b.sql", "1.2", "Failed"),
        ("R__view.sql", "", "Pending"),
    )
    every, waiting = flyway.pending(info, Path("/tmp/x/shown-all"))
    assert every == ["V1__a.sql", "V1_2__b.sql", "contract/V1.9__c.sql", "V1.10__d.sql", "R__view.sql"]
    assert waiting == ["V1_2__b.sql", "contract/V1.9__c.sql", "R__view.sql"]


@pytest.mark.parametrize(
    ("script", "phase", "shown"),
    [
        ("V1__a.sql", "expand", True),
        ("V1__a.sql", "contract", False),
        ("V1__a.sql.conf", "contract", False),
        ("later/contract/V2__b.sql", "contract", True),
        ("later/contract/V2__b.sql", "expand", False),
        ("contract.sql/V3__c.sql", "contract", False),
        ("afterMigrate.sql", "contract", True),
        ("R__view.sql", "contract", False),
        ("contract/V2__b.sql", "all", True),
    ],
)
def test_phase_shows_flyway_its_own_scripts_and_callbacks(script: str, phase: str, shown: bool) -> None:
    assert flyway.belongs(script, phase) is shown


@pytest.mark.parametrize(
    "name",
    [
        "beforeConnect.sql",
        "afterValidate__x.sql",
        "createSchema.sql",
        "beforeCreateSchema.sql",
        "sub/afterConnect.sql",
    ],
)
def test_callback_that_flyway_runs_outside_of_the_plan_is_refused_by_name(name: str) -> None:
    with pytest.raises(ServiceFailed, match=rf"^{name}: Flyway would run it outside of the plan"):
        flyway.unread(name, {name})


@pytest.mark.parametrize(
    "name",
    [
        "V2__x.sh",
        "V2__x.py",
        "R__x.PS1",
        "V2__X.class",
        "afterMigrate.sh",
        "V2__x.SQL",
        "v3.1__x.Sql",
        "V1__x.sql.bak",
    ],
)
def test_file_that_looks_like_a_script_and_is_no_sql_is_refused_by_name(name: str) -> None:
    with pytest.raises(ServiceFailed, match="only SQL is run here"):
        flyway.unread(name, {name})


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "works-from",
        "data.csv",
        "seed/R.txt",
        "U2__back.sql",
        "beforeClean.sql",
        "afterInfo__x.sql",
    ],
)
def test_what_flyway_is_not_shown_has_a_reason(name: str) -> None:
    assert flyway.unread(name, {name})


@pytest.mark.parametrize(
    "name",
    [
        "V1__a.sql",
        "V1_1__a.sql",
        "R__v.sql",
        "sub/afterMigrate__grants.sql",
        "afterEachMigrate.sql",
        "grants.sql",
        "V1_a.sql",
    ],
)
def test_flyway_is_shown_its_scripts_and_what_it_shall_complain_of(name: str) -> None:
    assert flyway.unread(name, {name}) is None
    assert flyway.unread(f"{name}.conf", {name}) is None


def test_callback_in_the_folder_of_one_phase_is_refused() -> None:
    with pytest.raises(ServiceFailed, match=r"^contract/afterMigrate.sql: callbacks run in both phases"):
        flyway.unread("contract/afterMigrate.sql", {"contract/afterMigrate.sql"})


def test_settings_of_no_script_are_refused() -> None:
    with pytest.raises(ServiceFailed, match=r"V1__other.sql.conf belongs to no script"):
        flyway.unread("V1__other.sql.conf", {"V1__a.sql", "V1__other.sql.conf"})


@given(st.text(alphabet="VRUBvrub_.0123afterMigatbeoInhcl sqSQL/", max_size=40))
def test_every_name_is_shown_left_out_or_refused(name: str) -> None:
    try:
        why = flyway.unread(name, {name})
    except ServiceFailed as refused:
        why = refused.why
    assert why is None or why


@pytest.mark.parametrize(
    ("script", "number"),
    [
        ("V1__a.sql", (1,)),
        ("sub/V1_10__b.sql", (1, 10)),
        ("V1.0__c.sql", (1,)),
        ("R__v.sql", None),
        ("afterMigrate.sql", None),
    ],
)
def test_version_of_a_script(script: str, number: tuple[int, ...] | None) -> None:
    assert flyway.number_of(script) == number


def test_link_out_of_the_changelog_is_refused(tmp_path: Path) -> None:
    (tmp_path / "work/migrations").mkdir(parents=True)
    (tmp_path / "secret").write_text("x")
    (tmp_path / "work/migrations/V1__a.sql").symlink_to(tmp_path / "secret")
    with pytest.raises(ServiceFailed, match="leads out"):
        list(flyway.scripts(tmp_path / "work", Path("migrations")))  # type: ignore[arg-type]


def test_flyways_reason_names_script_and_statement() -> None:
    message = (
        "Script contract/V2.1__bad.sql failed\n---------------------------\nSQL State  : 42703\nError Code : 0\n"
        'Message    : ERROR: column "nothing" does not exist\n  Position: 8\n'
        "Location   : /tmp/x/V2.1__bad.sql\nLine       : 1\nStatement  : select nothing here\n"
    )
    why, statement = flyway.reason({"error": {"message": message}})
    assert why == 'contract/V2.1__bad.sql: ERROR: column "nothing" does not exist Position: 8'
    assert statement == "select nothing here"
    assert flyway.reason({"error": {"message": "Unable to\n  obtain"}}) == ("Unable to obtain", None)


def test_flyways_report_is_found_behind_other_words() -> None:
    answer = 'WARNING: x\n{"individualResults": [{"operation": "info", "migrations": []}, {"operation": "validate"}]}'
    assert flyway.report(answer, "validate") == {"operation": "validate"}
    assert flyway.report("java.lang.OutOfMemoryError", "info") is None
    assert flyway.report("{broken", "info") is None


@pytest.mark.parametrize(
    ("said", "passes"),
    [
        ("ERROR: canceling statement due to lock timeout", True),
        ("FATAL: password authentication failed for user", True),
        ("Connection to 127.0.0.1:1 refused. Check that", True),
        ("Connection could not be created to jdbc:postgresql://… Connection attempt timed out.", True),
        ("ERROR: deadlock detected", True),
        ("Number of retries exceeded while attempting to acquire PostgreSQL advisory lock.", True),
        ("An I/O error occurred while sending to the backend.", True),
        ("ERROR: canceling statement due to statement timeout", False),
        ('ERROR: column "nothing" does not exist', False),
        ("ERROR: permission denied for table x", False),
    ],
)
def test_failure_of_the_database_is_told_from_one_of_the_changelog(said: str, passes: bool) -> None:
    assert database.passes_later(said) is passes


def test_every_session_is_named_and_bounded_and_one_that_asks_changes_nothing() -> None:
    one = database.Database("::1", 5432, "a/b", "me", "hidden", 240, "deploy-migrate-" + "x" * 60)
    url = one.url(180000, asks=True)
    assert url.startswith("jdbc:postgresql://[::1]:5432/a%2Fb?ApplicationName=slipway%20deploy-migrate-")
    for setting in ("lock_timeout%3D5s", "statement_timeout%3D240s", "default_transaction_read_only%3Don"):
        assert setting in url
    assert "client_connection_check_interval" in url
    assert "client_connection_check_interval" not in one.url(130000, asks=False)
    assert "read_only" not in one.url(180000, asks=False)
    assert "hidden" not in url + repr(one)
    assert len(one.application) == 63


def test_pod_is_known_by_a_name_that_was_cut() -> None:
    pod = "deploy-migrate-" + "x" * 60
    assert database.is_among(pod[:55], ["other", pod])
    assert not database.is_among("deploy-migrate", [pod])


# -- the plan -------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d", "e", "f")
steps = st.lists(st.sampled_from(("expand", "contract")), min_size=1, max_size=6).map(
    lambda phases: [Changeset(name, phase, f"sum-{name}") for name, phase in zip(NAMES, phases, strict=False)]
)


def _state(changelog: Sequence[Changeset], applied: Sequence[str]) -> State:
    rows = [Applied(name, "expand", place) for place, name in enumerate(applied)]
    return State(rows, changelog, [one for one in changelog if one.id not in applied])


@given(steps, st.integers(0, 6), st.data())
def test_what_is_left_of_a_plan_is_the_plan_whatever_order_it_was_applied_in(
    changelog: list[Changeset], before: int, data: st.DataObject
) -> None:
    names = [one.id for one in changelog]
    known, rest = names[:before], names[before:]
    planned = changesets.planned_sha(_state(changelog, known))
    done = data.draw(st.permutations(rest).map(lambda order: order[: len(order) // 2 + 1]))
    changesets.require_planned(_state(changelog, ["gone by now", *known, *done]), planned)


@given(steps, st.sampled_from(("checksum", "phase", "new", "unknown")))
def test_anything_else_is_not_the_plan(changelog: list[Changeset], change: str) -> None:
    planned = changesets.planned_sha(_state(changelog, []))
    applied: list[str] = []
    other = list(changelog)
    if change == "checksum":
        other[-1] = replace(other[-1], checksum="edited")
    elif change == "phase":
        other[-1] = replace(other[-1], phase="contract" if other[-1].phase == "expand" else "expand")
    elif change == "new":
        other.append(Changeset("new", "expand", "sum"))
    else:
        applied = [changelog[0].id, "of another changelog"]
    with pytest.raises(ServiceFailed, match="not what the plan was made of"):
        changesets.require_planned(_state(other, applied), planned)


def test_message_names_what_is_new_and_what_is_gone() -> None:
    state = _state([Changeset("a", "expand", ""), Changeset("new", "expand", "")], [])
    with pytest.raises(ServiceFailed, match="new: new; gone: b"):
        changesets.require_planned(state, "0" * 64, ["a", "b"])


@pytest.mark.parametrize(
    ("line", "found"),
    [("m/x.sql::1::me", "m/x.sql::1::me"), ("::1::me\n", "m/x.sql::1::me"), ("V2__b.sql", "V2__b.sql")],
)
def test_works_from_is_an_id_or_the_end_of_one(line: str, found: str) -> None:
    ids = ("m/x.sql::1::me", "m/x.sql::2::me", "V2__b.sql", "expand/V2__b.sql")
    assert changesets.works_from(line, _state([Changeset(one, "expand", "") for one in ids], [])) == found


@pytest.mark.parametrize("line", ["", "nothing", "::me", "drop"])
def test_works_from_names_one_expand_changeset(line: str) -> None:
    changelog = [
        Changeset("a::me", "expand", ""),
        Changeset("b::me", "expand", ""),
        Changeset("c::drop", "contract", ""),
    ]
    with pytest.raises(ServiceFailed, match="works-from"):
        changesets.works_from(line, _state(changelog, []))


def _callback(checksum: str = "sum", *, always: bool = True, is_new: bool = False) -> Callback:
    return Callback("afterMigrate.sql", checksum, "select 1", "db/afterMigrate.sql", always, is_new)


def _with(state: State, *callbacks: Callback) -> State:
    return replace(state, callbacks=callbacks)


@given(steps, st.integers(1, 6))
def test_callback_is_of_the_plan_whether_it_has_run_or_not(changelog: list[Changeset], done: int) -> None:
    planned = changesets.planned_sha(_with(_state(changelog, []), _callback(is_new=True)))
    later = _state(changelog, [one.id for one in changelog][:done])
    changesets.require_planned(_with(later, _callback(is_new=False)), planned)
    with pytest.raises(ServiceFailed, match="not what the plan was made of"):
        changesets.require_planned(_with(later, _callback("edited")), planned)
    with pytest.raises(ServiceFailed, match="not what the plan was made of"):
        changesets.require_planned(later, planned)


@pytest.mark.parametrize(
    ("always", "is_new", "due"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_changed_callback_is_due_by_itself_if_flyway_runs_it_at_each_migrate(
    always: bool, is_new: bool, due: bool
) -> None:
    state = _with(_state([], []), _callback(always=always, is_new=is_new))
    assert [state.is_due(phase) for phase in ("expand", "all", "contract")] == [due, due, False]
    assert bool(state.running_callbacks()) is due
    beside = _with(_state([Changeset("a", "contract", "")], []), _callback(always=always, is_new=is_new))
    assert beside.running_callbacks() == list(beside.callbacks)
    assert beside.is_due("contract")


# -- contexts, programs, the baseline -------------------------------------------------------------------


def _recorded(name: str, **row: str) -> liquibase.Recorded:
    return liquibase.Recorded(f"a.sql::{name}::me", "expand", "", "", "a.sql", row)


def test_what_a_filter_keeps_back_is_told_with_the_filter() -> None:
    every = [
        _recorded("a"),
        _recorded("b", CONTEXTS="test"),
        _recorded("c", LABELS="x"),
        _recorded("d", CONTEXTS="!(a or b)", LABELS="x"),
    ]
    told = liquibase.left_out(every, every[:1], ["staging", "blue"], "!x")
    assert [(one.id, one.why) for one in told] == [
        ("a.sql::b::me", "its context is `test`, and `staging, blue` holds here"),
        ("a.sql::c::me", "its labels are `x`, and `!x` is asked for"),
        (
            "a.sql::d::me",
            "its context is `!(a or b)`, and `staging, blue` holds here; or its labels are `x`, and `!x` is asked for",
        ),
    ]


@pytest.mark.parametrize(
    ("phase", "labels", "option"),
    [
        ("expand", None, ["--label-filter=!contract"]),
        ("contract", None, ["--label-filter=contract"]),
        ("all", None, []),
        ("expand", "a or b", ["--label-filter=!contract and (a or b)"]),
        ("all", "a or b", ["--label-filter=(a or b)"]),
    ],
)
def test_labels_of_the_catalog_are_besides_the_phases(
    phase: str, labels: str | None, option: list[str]
) -> None:
    assert liquibase.label_filter(phase, labels) == option


@pytest.mark.parametrize(
    "description", ["executeCommand", "createTable tableName=a; executeCommand", "customChange; sql"]
)
def test_kind_of_change_that_runs_a_program_is_refused(description: str) -> None:
    with pytest.raises(
        ServiceFailed, match=r"^changeset a\.sql::b::me: (executeCommand|customChange) runs a program"
    ):
        liquibase.refuse_programs(
            [_recorded("a", DESCRIPTION="sql"), _recorded("b", DESCRIPTION=description)]
        )


def test_change_that_only_speaks_of_a_program_is_not_refused() -> None:
    liquibase.refuse_programs([_recorded("a", DESCRIPTION="insert tableName=executeCommand")])


@pytest.mark.parametrize(
    ("baseline", "has"), [("0", 0), ("a.sql::a::me", 1), ("::b::me", 2), ("a.sql::c::me", 3)]
)
def test_baseline_counts_all_up_to_it(baseline: str, has: int) -> None:
    changelog = [_recorded(name) for name in "abc"]
    assert liquibase.baselined(changelog, baseline) == changelog[:has]


@pytest.mark.parametrize("baseline", ["nothing", "::me"])
def test_baseline_names_one_changeset(baseline: str) -> None:
    with pytest.raises(ServiceFailed, match=f"^baseline: {baseline} is the end of"):
        liquibase.baselined([_recorded("a"), _recorded("b")], baseline)


# -- lint -----------------------------------------------------------------------------------------------


def _finding(line: int, rule: str) -> dict[str, Any]:
    return {"line": line, "rule_name": rule, "level": "Warning", "message": "Why.", "help": "What to do."}


def test_findings_belong_to_the_changeset_whose_line_it_is() -> None:
    first = Changeset(
        "a", "expand", "", "create table t ();\n-- squawk-ignore ban-drop-table\ndrop table u", "a.sql"
    )
    second = Changeset(
        "b", "contract", "", "drop table v;\nalter table ${x} alter c type text;", "contract/b.sql"
    )
    linted = []

    def run(sql: str) -> list[dict[str, Any]]:
        linted.append(sql)
        lines = sql.splitlines()
        told = {
            "drop table u": ("ban-drop-table", "prefer-robust-stmts"),
            "drop table v;": ("ban-drop-table",),
            "alter table placeholder alter c type text;": ("changing-column-type",),
        }
        return [
            _finding(lines.index(line), rule)
            for line, rules in told.items()
            if line in lines
            for rule in rules
        ]

    found = lint.findings([first, second], run)
    assert "squawk-ignore" not in linted[0]
    assert [(one["id"], one["rule"], one["line"], one["file"]) for one in found] == [
        ("a", "ban-drop-table", 3, "a.sql"),
        ("b", "changing-column-type", 2, "contract/b.sql"),
    ]
    assert (found[0]["level"], found[0]["message"]) == ("warning", "Why. What to do.")


def test_what_stands_is_found_in_the_changeset_alone_and_among_the_others() -> None:
    made = Changeset(
        "a", "expand", "", "create table public.t ();\nalter table u add check (true) not valid;"
    )
    later = Changeset("b", "expand", "", "create index on t (c);\nalter table u validate constraint c;")

    def run(sql: str) -> list[dict[str, Any]]:
        lines = sql.splitlines()
        found = []
        # as squawk: an index is fine on a new table, to validate is not in the transaction that made the constraint
        if "create index on t (c);" in lines and "create table t ();" not in lines:
            found.append(_finding(lines.index("create index on t (c);"), "require-concurrent-index-creation"))
        if "alter table u validate constraint c;" in lines and any("not valid" in line for line in lines):
            found.append(
                _finding(lines.index("alter table u validate constraint c;"), "constraint-missing-not-valid")
            )
        return found

    assert lint.findings([made, later], run) == []
    assert [one["rule"] for one in lint.findings([later], run)] == ["require-concurrent-index-creation"]


@pytest.mark.parametrize(("at_once", "rules"), [(False, []), (True, ["ban-drop-table"])])
def test_taking_away_is_legal_in_a_contract_phase_only(at_once: bool, rules: list[str]) -> None:
    drop = Changeset("a", "contract", "", "drop table x")
    found = lint.findings([drop], lambda _: [_finding(0, "ban-drop-table")], at_once=at_once)
    assert [one["rule"] for one in found] == rules


def test_changeset_that_cannot_be_read_does_not_hide_the_others() -> None:
    def run(sql: str) -> list[dict[str, Any]]:
        found = [_finding(0, "syntax-error")] if "selec" in sql else []
        return found or ([_finding(0, "ban-drop-table")] if "drop" in sql else [])

    broken, drop = Changeset("a", "expand", "", "selec 1"), Changeset("b", "expand", "", "drop table x")
    assert [(one["id"], one["rule"]) for one in lint.findings([broken, drop], run)] == [
        ("a", "syntax-error"),
        ("b", "ban-drop-table"),
    ]


# -- the result -----------------------------------------------------------------------------------------


def _unpacked(text: str) -> dict[str, Any]:
    if text.startswith("z:"):
        text = zlib.decompress(base64.b64decode(text[2:])).decode()
    return dict(json.loads(text))


@given(
    st.lists(st.text(min_size=1, max_size=120), max_size=60),
    st.lists(st.text(max_size=400), max_size=25),
    st.text(max_size=5000),
)
def test_result_always_fits_and_keeps_the_newest_of_applied(
    ids: list[str], messages: list[str], error: str
) -> None:
    applied = [{"id": one, "phase": "expand"} for one in ids]
    text = outcome.packed(
        {"applied": applied, "lint": [{"message": one} for one in messages], "error": error, "n": 7}
    )
    assert len(text.encode()) <= outcome.LIMIT
    told = _unpacked(text)
    assert told["n"] == 7
    assert [one["id"] for one in told["applied"]] == ids[len(ids) - len(told["applied"]) :]


def test_short_result_is_plain_json() -> None:
    assert outcome.packed({"applied": [], "revision": None}) == '{"applied":[],"revision":null}'
