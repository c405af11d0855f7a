"""Airflow: four processes and a log server, with accounts, pools and the ledger's schema."""

from __future__ import annotations

import base64
import configparser
import hashlib
import io
import json
import secrets
import time
from pathlib import Path
from typing import Any

from typing_extensions import override

from slipway_sandbox.layout import SandboxError, write_file
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.run import run, wait_until
from slipway_sandbox.supervisor import Program

ACCOUNTS = {"admin": "admin", "hook": "user", "viewer": "viewer"}  # name -> role of the simple auth manager
POOLS = {
    "slipway_engine": (4, "containers on the Docker engine"),
    "slipway_cluster": (4, "work in the cluster"),
}
HEALTHY = ("metadatabase", "scheduler", "triggerer", "dag_processor")


class Airflow(Part):
    """Airflow 3.3 with LocalExecutor and its metadata in Postgres; listens on loopback only."""

    name = "airflow"
    depends = ("postgres",)
    ports = ("airflow", "airflow-worker-logs")
    listeners = ("airflow-api-server", "airflow-logs")
    ready_timeout_s = 300  # a machine with two busy cores takes its time; one that ends is told at once

    @property
    def home(self) -> Path:
        """AIRFLOW_HOME."""
        return self.folder

    @property
    def environment(self) -> dict[str, str]:
        """What Airflow's processes, and the tasks that they fork, know."""
        return {
            "AIRFLOW_HOME": str(self.home),
            "PYTHONPATH": f"{self.layout.checkout}/include:{self.layout.checkout}/sandbox",
            "SLIPWAY_PLATFORM": str(self.layout.platform_file),
            "PATH": f"{self.layout.bin}:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin",  # Debian's docker first
            "MALLOC_ARENA_MAX": "2",
            "NO_PROXY": "127.0.0.1,localhost,10.200.0.1,10.96.0.0/16",
        }

    def configuration(self) -> dict[str, dict[str, object]]:
        """Airflow's options that differ from its defaults."""
        checkout, url = self.layout.checkout, self.sandbox.airflow_url
        local = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
        local_arguments = json.dumps({"connections_file_path": str(self.layout.state / "connections.yaml")})
        database = (
            Postgres(self.sandbox).url("airflow", "airflow").replace("postgresql:", "postgresql+psycopg2:", 1)
        )
        port = self.layout.port("airflow-worker-logs")
        return {
            "core": {
                "dags_folder": checkout / "dags",
                "plugins_folder": checkout / "plugins",
                "executor": "slipway.executor.WakingExecutor",
                "parallelism": 8,
                "load_examples": False,
                "dags_are_paused_at_creation": False,
                "simple_auth_manager_users": ",".join(f"{name}:{role}" for name, role in ACCOUNTS.items()),
                "simple_auth_manager_passwords_file": self.home / "passwords.json",
                "fernet_key": self._fernet_key(),
                "execution_api_server_url": f"{url}/execution/",
                "min_serialized_dag_update_interval": 1,
                # the DAG files call slipway.dag and need not name both words that the safe mode looks for
                "dag_discovery_safe_mode": False,
                # an import error is the error's own message; the traceback is in the dag-processor's log
                "dagbag_import_error_tracebacks": False,
                # the log server is on loopback, and so the name under which a task's host is known
                "hostname_callable": "slipway_sandbox.local_http.loopback",
            },
            "database": {"sql_alchemy_conn": database, "sql_alchemy_pool_size": 10},
            "logging": {
                "base_log_folder": self.home / "logs",
                "worker_log_server_port": port,
                "trigger_log_server_port": port,
                "colored_console_log": False,
            },
            "api": {
                "host": "127.0.0.1",
                "port": self.layout.port("airflow"),
                "base_url": url,
                "workers": 1,
                "secret_key": self.layout.secret("airflow-secret-key", length=48),
                "instance_name": "Slipway sandbox",
            },
            "api_auth": {"jwt_secret": self.layout.secret("airflow-jwt-secret", length=48)},
            "secrets": {"backend": local, "backend_kwargs": local_arguments},
            "workers": {
                "secrets_backend": local,
                "secrets_backend_kwargs": local_arguments,
                "min_heartbeat_interval": 1,
                # a minute without the API server ends no task: it may be restarted
                "max_failed_heartbeats": 60,
            },
            "scheduler": {
                "scheduler_idle_sleep_time": 0,  # the executor waits
                "enable_health_check": False,
                # what a killed scheduler or worker leaves is found within a minute, not after five
                "task_instance_heartbeat_timeout": 60,
                "orphaned_tasks_check_interval": 20,
                "task_queued_timeout": 90,
                "task_queued_timeout_check_interval": 20,
            },
            "dag_processor": {
                # a changed DAG file is parsed at the next look at the folder; so are all if catalog or code have changed
                "dag_bundle_config_list": json.dumps(
                    [{"name": "dags-folder", "classpath": "slipway.bundle.WatchingBundle", "kwargs": {}}]
                ),
                "refresh_interval": 5,
                "bundle_refresh_check_interval": 5,
                "min_file_process_interval": 3600,
                "parsing_processes": 1,
                "dag_version_inflation_check_level": "error",
                "print_stats_interval": 300,
            },
            "usage_data_collection": {"enabled": False},
        }

    def _fernet_key(self) -> str:
        path = self.layout.credentials / "airflow-fernet-key"
        if not path.is_file():
            self.layout.keep_secret(path.name, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        return path.read_text().strip()

    @override
    def prepare(self) -> None:
        self.folder.mkdir(exist_ok=True, mode=0o700)
        parser = configparser.RawConfigParser()
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        for section, options in self.configuration().items():
            parser[section] = {key: str(value).replace("%", "%%") for key, value in options.items()}
        text = io.StringIO()
        parser.write(text)
        write_file(self.home / "airflow.cfg", "# written by the sandbox\n" + text.getvalue(), 0o600)
        passwords = {name: self.layout.secret(f"airflow-{name}") for name in ACCOUNTS}
        write_file(self.home / "passwords.json", json.dumps(passwords) + "\n", 0o600)
        self._migrate()

    def _migrate(self) -> None:
        """Bring Airflow's schema and the ledger's to what this checkout needs."""
        from importlib.metadata import version

        endpoint = str(Postgres(self.sandbox).endpoint())
        environment = {**self.environment, "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}
        self._once(
            "airflow",
            version("apache-airflow") + endpoint,
            [self.layout.bin / "airflow", "db", "migrate"],
            environment,
        )
        migrations = sorted((self.layout.checkout / "include/slipway/ledger/migrations").rglob("*.py"))
        if migrations:
            digest = hashlib.sha256(b"".join(path.read_bytes() for path in migrations)).hexdigest()
            upgrade = "import sys; from slipway.ledger import upgrade; upgrade(sys.stdin.read())"
            self._once("ledger", digest + endpoint, [self.layout.python, "-c", upgrade], self.environment)

    def _once(
        self, database: str, wanted: str, command: list[str | Path], environment: dict[str, str]
    ) -> None:
        """Run a migration unless the stamp says that nothing has changed since the last."""
        stamp = self.home / f".migrated-{database}"
        if stamp.is_file() and stamp.read_text() == wanted and self._has_schema(database):
            return

        def migrate() -> str:
            url = Postgres(self.sandbox).url("ledger", "ledger") if database == "ledger" else None
            log = self.layout.logs / f"airflow-migrate-{database}.log"
            run(
                command,
                what=f"migrating the database {database}",
                timeout_s=300,
                env=environment,
                log=log,
                stdin=url,
            )
            return f"schema of the database {database} is up to date"

        self.timed(migrate)
        write_file(stamp, wanted)

    def _has_schema(self, database: str) -> bool:
        connection = Postgres(self.sandbox).connect(database)
        try:
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM information_schema.tables WHERE table_name LIKE '%alembic_version%'"
                )
                return bool(cursor.fetchone()[0])
        finally:
            connection.close()

    @override
    def programs(self) -> list[Program]:
        airflow = self.layout.bin / "airflow"
        # Airflow's own log server listens on every address; this one, on loopback, serves the same
        logs: list[str | Path] = [
            self.layout.bin / "uvicorn", "--factory", "airflow.utils.serve_logs.log_server:create_app",
            "--host", "127.0.0.1", "--port", str(self.layout.port("airflow-worker-logs")),
            "--log-level", "warning", "--no-access-log",
        ]  # fmt: skip
        commands: dict[str, list[str | Path]] = {
            "api-server": [airflow, "api-server"],
            "scheduler": [airflow, "scheduler", "--skip-serve-logs"],
            "dag-processor": [airflow, "dag-processor"],
            "triggerer": [airflow, "triggerer", "--skip-serve-logs"],
            "logs": logs,
        }
        checkout = self.layout.checkout
        # who forks tasks has imported our code, and a page's code is the plugin's: what lies there now is not what runs
        code = sorted((*checkout.glob("include/slipway/**/*.py"), *checkout.glob("plugins/*")))
        reads = [self.home / "airflow.cfg", self.home / "passwords.json", *code]
        return [
            Program(
                f"airflow-{name}",
                command,
                self.environment,
                stop_wait_s=20,
                start_s=2,
                reads=reads,
                umask="077",
            )
            for name, command in commands.items()
        ]

    # --- its API ---
    def token(self, account: str = "admin") -> str:
        """An API token of one of the accounts."""
        body = {
            "username": account,
            "password": (self.layout.credentials / f"airflow-{account}").read_text().strip(),
        }
        answer = session().post(f"{self.sandbox.airflow_url}/auth/token", json=body, timeout=20)
        if answer.status_code not in (200, 201):
            raise SandboxError(
                f"airflow refuses the account {account} ({answer.status_code}): {answer.text[:300]}"
            )
        return str(answer.json()["access_token"])

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Call the API as administrator. :return: the response"""
        headers = {"Authorization": f"Bearer {self.token()}"}
        return session().request(
            method, f"{self.sandbox.airflow_url}/api/v2/{path}", json=body, headers=headers, timeout=20
        )

    _asked_execution = False

    @override
    def ready(self) -> str | None:
        import requests

        try:
            answer = session().get(f"{self.sandbox.airflow_url}/api/v2/monitor/health", timeout=10)
        except requests.exceptions.RequestException as error:
            return f"{self.sandbox.airflow_url} does not answer ({type(error).__name__})"
        if answer.status_code != 200:
            return f"health answers {answer.status_code}"
        health = answer.json()
        if ill := [name for name in HEALTHY if (health.get(name) or {}).get("status") != "healthy"]:
            return f"not healthy: {', '.join(ill)}"
        if not self._asked_execution:
            # Airflow builds its execution API on the first request, which takes seconds: not the first task's
            session().get(f"{self.sandbox.airflow_url}/execution/health", timeout=60)
            self._asked_execution = True
        return None

    @override
    def address(self) -> str:
        return self.sandbox.airflow_url

    @override
    def provision(self) -> None:
        there = {pool["name"]: pool for pool in self.call("GET", "pools?limit=100").json()["pools"]}
        for name, (slots, description) in POOLS.items():
            if name not in there:
                body = {"name": name, "slots": slots, "description": description, "include_deferred": False}
                answer = self.call("POST", "pools", body)
                if answer.status_code not in (200, 201, 409):
                    raise SandboxError(
                        f"airflow does not make the pool {name}: {answer.status_code} {answer.text[:300]}"
                    )

    def settle(self) -> None:
        """Wait until every DAG of the checkout is known, so that the first push finds it.

        Broken DAG files are reported, but do not fail the sandbox: they are mended while it runs.
        """
        files = {path.name for path in (self.layout.checkout / "dags").glob("*.py")}
        if not files or self.sandbox.layout.recorded("images.json") is None:
            return
        start = time.monotonic()
        problems: list[str] = []

        def missing() -> str | None:
            known = {
                Path(dag["relative_fileloc"]).name
                for dag in self.call("GET", "dags?limit=1000").json()["dags"]
            }
            errors = self.call("GET", "importErrors?limit=100").json()["import_errors"]
            problems[:] = [
                f"{error['filename']}: {error['stack_trace'].strip().splitlines()[-1]}" for error in errors
            ]
            return (
                None if files <= known and not errors else ", ".join(sorted(files - known)) or "import errors"
            )

        try:
            wait_until(missing, 40, "the DAGs", 0.5)
        except SandboxError as error:
            self.say(f"{error}" + "".join(f"\n    {line}" for line in problems))
            return
        if time.monotonic() - start > 1:
            self.say(f"{len(files)} DAG file(s) known ({time.monotonic() - start:.1f} s)")
