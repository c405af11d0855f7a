# ruff: noqa: S608 -- statements of the test's own
"""slipway-migrations as a release's pod runs it: against a database of one test's own, with one story told to either engine."""

from __future__ import annotations

import base64
import io
import json
import tarfile
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

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


# Run by a shell in the box: what was unpacked before is gone, as with a pod; the result is all of standard output.
IN_BOX = """rm -rf /work/* /run/slipway/* /tmp/*; tar -x -C / || exit 125
slipway-migrations "$@" >&2; code=$?; cat /run/slipway/result.json; exit $code"""


class Toolbox:
    """Runs the program as a release's pod does.

    :param box: a hardened container that waits: the program is run in it, one run after the other. What is killed or told to end
        has a container of its own.
    """

    def __init__(self, engine: Any, postgres: Postgres, box: str) -> None:
        self.engine, self.postgres, self.box = engine, postgres, box

    def run(
        self,
        files: Mapping[str, str],
        *arguments: str,
        pod: str = POD,
        environment: Mapping[str, str] | None = None,
        credentials: Mapping[str, Any] | None = None,
    ) -> Ran:
        given = {f"work/{name}": text for name, text in files.items()}
        given["run/slipway/database.json"] = json.dumps(credentials or self.postgres.credentials())
        given["run/slipway/result.json"] = ""
        variables = {"HOSTNAME": pod, **(environment or {})}
        options = [part for name, value in variables.items() for part in ("-e", f"{name}={value}")]
        done = self.engine.docker(
            *("exec", "-i", *options, self.box, "sh", "-c", IN_BOX, "slipway-migrations", *arguments),
            stdin=_tar(given),
            check=False,
        )
        assert done.returncode < 125, done.stderr.decode()
        return Ran(done.returncode, unpacked(done.stdout.decode()), done.stderr.decode())

    def start(self, files: Mapping[str, str], *arguments: str) -> str:
        """Run it in a container of its own, and do not wait for it."""
        given = json.dumps(self.postgres.credentials())
        state = self.engine.volume({"database.json": given, "result.json": ""}, owner=10001)
        work = self.engine.volume(files, owner=10001)
        return str(
            self.engine.start(
                "toolbox-migrations",
                *("--hostname", POD, "-v", f"{state}:/run/slipway", "-v", f"{work}:/work:ro"),
                *("-e", "RESULT=/run/slipway/result.json"),
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


def _tar(files: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, text in files.items():
            entry, data = tarfile.TarInfo(name), text.encode()
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


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


def liquibase(root: str, contexts: str = "staging") -> tuple[str, ...]:
    return ("--engine", "liquibase", "--changelog", root, "--contexts", contexts)


FLYWAY = ("--engine", "flyway", "--changelog", "migrations")
FIRST = ("first", "expand", "create table first (id bigint primary key, old text)")
INDEX = ("index", "expand", "create index concurrently first_old on first (old)")
DROP = ("drop", "contract", "alter table first drop column old")
LAST = ("last", "expand", "create table last (id bigint primary key)")
STORY = (FIRST, INDEX, DROP, LAST)
# Sleeps for as long as the table `test.control` says so.
SLOW = ("slow", "expand", "create table slow (id bigint); select pg_sleep(240) from test.control where slow")


def working(postgres: Postgres) -> bool:
    return (
        postgres.sql(
            f"select count(*) from pg_stat_activity where datname = '{postgres.name}' and query like '%pg_sleep(240)%'"
            f" and application_name = 'slipway {POD}'"
        )
        == "1"
    )


def until(condition: Callable[[], bool], bound_s: float = 180) -> None:
    ends = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.2)


@contextmanager
def throwaway(engine: Any) -> Iterator[str]:
    """Give a throwaway server on a network of its own: a container beside it has a name of its own, as a pod has."""
    network = f"slipway-test-{uuid.uuid4().hex[:12]}"
    engine.docker("network", "create", "--internal", network)
    try:
        name = engine.start(
            "toolbox-postgres",
            *("--tmpfs", "/var/lib/postgresql:mode=1777", "--network-alias", "database"),
            *("-e", "POSTGRES_DB=service", "-e", "POSTGRES_PASSWORD=throwaway"),
            network=network,
        )
        engine.docker("exec", name, "/opt/slipway/bin/ready", "90")
        yield str(name)
        engine.docker("rm", "-f", name)
    finally:
        engine.docker("network", "rm", network, check=False)
