# ruff: noqa: S608 -- statements of the test's own
"""slipway-migrations in its image, against a real Postgres: both engines, and what goes wrong on the way."""

import base64
import json
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

ENGINES = ("liquibase", "flyway")
POD = "deploy-migrate-aaaa1111"
LOGIN = ("-e", "PGPASSWORD=throwaway")
FLYWAYS_LOCK = 77433833903597  # made of the name of its history table


@dataclass(frozen=True)
class Ran:
    """What a run gave: exit code, result, and what it said."""

    code: int
    result: dict[str, Any]
    said: str


class Postgres:
    """A database of one test's own, in a throwaway server."""

    def __init__(self, engine: Any, server: str, name: str) -> None:
        self.engine, self.server, self.name = engine, server, name
        listed = engine.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", server)
        (self.network,) = json.loads(listed.stdout)

    def sql(self, statement: str, database: str | None = None) -> str:
        psql = ("psql", "-qAt", "-U", "postgres", "-d", database or self.name, "-c", statement)
        done = self.engine.docker("exec", *LOGIN, self.server, *psql)
        return str(done.stdout.decode().strip())

    def tables(self) -> list[str]:
        found = self.sql(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'i')"
            " and relname !~ '^(databasechangelog|flyway_schema_history|.*_pkey)' order by 1"
        )
        return found.split()

    def credentials(self, **other: Any) -> dict[str, Any]:
        known = {"host": "database", "port": 5432, "database": self.name}
        return known | {"username": self.name, "password": "throwaway'\\ \"${x}ß"} | other


class Toolbox:
    """Runs the program as a release's pod does; a container stands for a pod."""

    def __init__(self, engine: Any, postgres: Postgres) -> None:
        self.engine, self.postgres = engine, postgres

    def start(
        self,
        files: Mapping[str, str],
        *arguments: str,
        pod: str = POD,
        environment: Mapping[str, str] | None = None,
        credentials: Mapping[str, Any] | None = None,
    ) -> str:
        given = json.dumps(credentials or self.postgres.credentials())
        state = self.engine.volume({"database.json": given, "result.json": ""}, owner=10001)
        work = self.engine.volume(files, owner=10001)
        variables = {"RESULT": "/run/slipway/result.json", **(environment or {})}
        return str(
            self.engine.start(
                "toolbox-migrations",
                *("--hostname", pod, "-v", f"{state}:/run/slipway", "-v", f"{work}:/work:ro"),
                *(part for name, value in variables.items() for part in ("-e", f"{name}={value}")),
                network=self.postgres.network,
                command=("slipway-migrations", *arguments),
            )
        )

    def end(self, name: str) -> Ran:
        code = int(self.engine.docker("wait", name).stdout)
        logs = self.engine.docker("logs", name)
        result = self.engine.copied(name, "/run/slipway/result.json")
        self.engine.docker("rm", "-f", name)
        return Ran(code, unpacked(result.decode()), (logs.stdout + logs.stderr).decode())

    def kill(self, name: str) -> None:
        self.engine.docker("kill", name)
        self.engine.docker("rm", "-f", name)

    def run(self, files: Mapping[str, str], *arguments: str, **options: Any) -> Ran:
        return self.end(self.start(files, *arguments, **options))


def unpacked(text: str) -> dict[str, Any]:
    assert len(text) <= 4000
    if text.startswith("z:"):
        text = zlib.decompress(base64.b64decode(text[2:])).decode()
    return dict(json.loads(text or "{}"))


@dataclass(frozen=True)
class Changelog:
    """One story, told to either engine: changesets by name, with their phase and SQL."""

    engine: str

    def files(self, *changesets: tuple[str, str, str], works_from: str | None = None) -> dict[str, str]:
        told = {"migrations/works-from": works_from} if works_from else {}
        if self.engine == "flyway":
            for number, (name, phase, sql) in enumerate(changesets, 1):
                folder = "contract/" if phase == "contract" else ""
                script = f"migrations/{folder}V{number}__{name}.sql"
                told[script] = f"{sql};\n"
                if "concurrently" in sql:
                    told[f"{script}.conf"] = "executeInTransaction=false\n"
            return told
        pieces = ["--liquibase formatted sql logicalFilePath:all.sql\n"]
        for name, phase, sql in changesets:
            outside = " runInTransaction:false" if "concurrently" in sql else ""
            pieces.append(f"--changeset me:{name} labels:{phase}{outside}\n{sql};\n")
        return told | {"migrations/all.sql": "\n".join(pieces)}

    @property
    def options(self) -> tuple[str, ...]:
        path = "migrations" if self.engine == "flyway" else "migrations/all.sql"
        contexts = () if self.engine == "flyway" else ("--contexts", "staging")
        return ("--engine", self.engine, "--changelog", path, *contexts)

    def id(self, number: int, name: str, phase: str = "expand") -> str:
        if self.engine == "liquibase":
            return f"all.sql::{name}::me"
        return f"{'contract/' if phase == 'contract' else ''}V{number}__{name}.sql"


def _liquibase(root: str, contexts: str = "staging") -> tuple[str, ...]:
    return ("--engine", "liquibase", "--changelog", root, "--contexts", contexts)


FLYWAY = ("--engine", "flyway", "--changelog", "migrations")
FIRST = ("first", "expand", "create table first (id bigint primary key, old text)")
INDEX = ("index", "expand", "create index concurrently first_old on first (old)")
DROP = ("drop", "contract", "alter table first drop column old")
LAST = ("last", "expand", "create table last (id bigint primary key)")
STORY = (FIRST, INDEX, DROP, LAST)
# Sleeps for as long as the table `test.control` says so.
SLOW = ("slow", "expand", "create table slow (id bigint); select pg_sleep(60) from test.control where slow")


@pytest.fixture(scope="module")
def server(engine: Any) -> Iterator[str]:
    """A throwaway server on a network of its own: a container beside it has a name of its own, as a pod has."""
    network = f"slipway-test-{uuid.uuid4().hex[:12]}"
    engine.docker("network", "create", "--internal", network)
    try:
        name = engine.start(
            "toolbox-postgres",
            *("--tmpfs", "/var/lib/postgresql:mode=1777", "--network-alias", "database"),
            *("-e", "POSTGRES_DB=service", "-e", "POSTGRES_PASSWORD=throwaway"),
            network=network,
        )
        engine.docker("exec", name, "/opt/slipway/bin/ready", "30")
        yield str(name)
        engine.docker("rm", "-f", name)
    finally:
        engine.docker("network", "rm", network, check=False)


@pytest.fixture
def postgres(engine: Any, server: str) -> Postgres:
    made = Postgres(engine, server, f"t{uuid.uuid4().hex[:12]}")
    password = str(made.credentials()["password"]).replace("'", "''")
    made.sql(f"create role {made.name} login password '{password}'", "postgres")
    made.sql(f"create database {made.name} owner {made.name}", "postgres")
    made.sql(f"create schema test authorization {made.name} create table control (slow bool)")
    return made


@pytest.fixture
def toolbox(engine: Any, postgres: Postgres) -> Toolbox:
    return Toolbox(engine, postgres)


@pytest.fixture(params=ENGINES)
def changelog(request: pytest.FixtureRequest) -> Changelog:
    return Changelog(request.param)


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


def _working(postgres: Postgres) -> bool:
    return (
        postgres.sql(
            f"select count(*) from pg_stat_activity where datname = '{postgres.name}' and query like '%pg_sleep(60)%'"
            f" and application_name = 'slipway {POD}'"
        )
        == "1"
    )


def _until(condition: Callable[[], bool], bound_s: float = 90) -> None:
    ends = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.2)


def test_killed_half_way_the_next_attempt_does_what_is_left(toolbox: Toolbox, changelog: Changelog) -> None:
    postgres, files = toolbox.postgres, changelog.files(FIRST, SLOW, LAST)
    planned = toolbox.run(files, "status", *changelog.options).result["pending_sha"]
    update = ("update", *changelog.options, "--phase", "expand", "--planned", planned)
    postgres.sql("insert into test.control values (true)")
    killed = toolbox.start(files, *update)
    _until(lambda: _working(postgres))
    # while it works, another one of a pod that runs waits for nothing and touches nothing
    living = toolbox.run(files, *update, pod="deploy-migrate-bbbb2222", environment={"PODS": f"other {POD}"})
    assert living.code == 3, living.said
    assert _working(postgres)
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


def test_table_that_somebody_holds_is_waited_for_seconds_only(toolbox: Toolbox, changelog: Changelog) -> None:
    assert not toolbox.run(changelog.files(FIRST), "update", *changelog.options, "--phase", "all").code
    postgres = toolbox.postgres
    alter = ("alter", "expand", "alter table first add column more text")
    holder = postgres.engine.docker(
        *("exec", "-d", *LOGIN, postgres.server, "psql", "-U", "postgres", "-d", postgres.name),
        *("-c", "begin; lock table first; select pg_sleep(40)"),
    )
    assert not holder.returncode
    _until(
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
        "select pg_terminate_backend(pid) from pg_stat_activity where query like '%pg_sleep(40)%' and pid <> pg_backend_pid()"
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


def test_broken_changelog_is_the_services_fault(toolbox: Toolbox) -> None:
    liquibase, flyway = Changelog("liquibase"), Changelog("flyway")
    missing = toolbox.run(liquibase.files(FIRST), "status", *_liquibase("migrations/absent.yaml"))
    assert (missing.code, "absent.yaml" in missing.result["error"]) == (1, True)
    broken = {"migrations/root.yaml": "databaseChangeLog: [{include: {file: nowhere.sql}}]"}
    ran = toolbox.run(broken, "status", *_liquibase("migrations/root.yaml"))
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


def test_flyway_run_by_hand_is_waited_for_and_then_not_disturbed(toolbox: Toolbox) -> None:
    changelog, postgres = Changelog("flyway"), toolbox.postgres
    assert not toolbox.run(changelog.files(FIRST), "update", *changelog.options, "--phase", "all").code
    postgres.engine.docker(
        *("exec", "-d", *LOGIN, postgres.server, "psql", "-U", "postgres", "-d", postgres.name),
        *("-c", f"select pg_advisory_lock({FLYWAYS_LOCK})", "-c", "select pg_sleep(50)"),
    )
    _until(lambda: postgres.sql("select count(*) from pg_locks where locktype = 'advisory'") != "0")
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
    _until(lambda: _working(postgres))
    postgres.engine.docker("kill", "--signal", "TERM", name)
    ran = toolbox.end(name)
    assert ran.code == 3, ran.said
    assert "signal 15" in ran.result["error"]
    assert ran.result["revision"] == changelog.id(1, "first")
    assert postgres.tables() == ["first"]


# -- what runs: contexts, programs, databases that are older, callbacks ----------------------------------

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
    options = _liquibase("migrations/root.yaml")
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
        *_liquibase("migrations/root.yaml", "test"),
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
        ran = toolbox.run(files, command[0], *_liquibase("migrations/root.yaml"), *command[1:])
        assert ran.code == 1, ran.said
        assert "migrations/root.yaml::one::team: executeCommand runs a program" in ran.result["error"]


def test_nothing_that_an_engine_runs_can_start_a_program(toolbox: Toolbox) -> None:
    """A description holds 255 characters: what comes after them is not read, and must not run all the same."""
    long = ", ".join(f"{{sql: {{sql: select {n}}}}}" for n in range(60))
    files = _changelog(
        f"changes: [{long}, {{executeCommand: {{executable: touch, args: [{{arg: {{value: /tmp/x}}}}]}}}}]"
    )
    ran = toolbox.run(files, "update", *_liquibase("migrations/root.yaml"), "--phase", "all")
    assert ran.code == 1, ran.said
    assert "Cannot run program" in ran.result["error"]


def test_file_beside_the_changelogs_folder_is_not_found_in_a_gate_either(toolbox: Toolbox) -> None:
    files = _changelog("changes: [{sqlFile: {path: other/x.sql}}]", **{"other/x.sql": "select 1;"})
    ran = toolbox.run(files, "update", *_liquibase("migrations/root.yaml"), "--phase", "all")
    assert (ran.code, "other/x.sql" in ran.result["error"]) == (1, True), ran.said


def test_changeset_that_fails_without_failing_the_update_fails_it(toolbox: Toolbox) -> None:
    files = _changelog('failOnError: false, changes: [{sql: {sql: "select nothing"}}]')
    ran = toolbox.run(files, "update", *_liquibase("migrations/root.yaml"), "--phase", "all")
    assert ran.code == 1, ran.said
    assert "planned, and not run: migrations/root.yaml::one::team" in ran.result["error"]


def test_changeset_that_its_precondition_marks_is_told(toolbox: Toolbox) -> None:
    conditions = "preConditions: [{onFail: MARK_RAN}, {tableExists: {tableName: absent}}]"
    files = _changelog(f'{conditions}, changes: [{{sql: {{sql: "create table marked ()"}}}}]')
    ran = toolbox.run(files, "update", *_liquibase("migrations/root.yaml"), "--phase", "all")
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
    _until(lambda: _working(postgres))
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
