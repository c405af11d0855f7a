"""A forge, if it is asked for (`slipway sandbox up forge`): Gitea, whose deliveries start releases and which shows statuses."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import override

from slipway_sandbox import debian
from slipway_sandbox.developer import Developer
from slipway_sandbox.layout import MACHINE_DIR, SandboxError, write_file
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part
from slipway_sandbox.parts.git import begin
from slipway_sandbox.parts.vault import Vault
from slipway_sandbox.run import run
from slipway_sandbox.services import Service
from slipway_sandbox.supervisor import Confined, Program

USER = "slipway-forge"
INSIDE = MACHINE_DIR / "forge"
DIST = MACHINE_DIR / "forge-dist"
ADMIN = "forge-admin"
ORGANIZATION = "services"
ACCOUNTS = {"developer": "git-developer", "slipway": "git-slipway"}
"""Name -> credentials file with its password: the same as at the git server."""

CONFIGURATION = """APP_NAME = Slipway sandbox
RUN_MODE = prod
WORK_PATH = {inside}
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
DOMAIN = 127.0.0.1
ROOT_URL = http://127.0.0.1:{port}/
STATIC_ROOT_PATH = {dist}/static
OFFLINE_MODE = true
DISABLE_SSH = true
LFS_START_SERVER = false
[database]
DB_TYPE = sqlite3
PATH = {inside}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
SECRET_KEY = {key}
INTERNAL_TOKEN = {token}
[oauth2]
ENABLED = false
[repository]
ROOT = {inside}/repositories
DEFAULT_BRANCH = main
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
DELIVER_TIMEOUT = 5
[mailer]
ENABLED = false
[actions]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
[session]
PROVIDER = memory
[queue]
; a delivery leaves some milliseconds after the push, not a second
TYPE = channel
BATCH_LENGTH = 1
[cron.update_checker]
ENABLED = false
[log]
MODE = console
LEVEL = Warn
"""


class Forge(Part):
    """Gitea on loopback, with the repositories of those services of the catalog that name it."""

    name = "forge"
    depends = ("vault",)
    optional = True
    ports = ("forge",)
    listeners = ("forge",)
    debian = ("/usr/bin/git",)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.layout.port('forge')}"

    @property
    def programs_folder(self) -> Path:
        """Where it is built to."""
        return self.layout.cache / "forge"

    @property
    def confined(self) -> Confined:
        """How it is shut in."""
        return Confined(USER, {self.folder: INSIDE, self.programs_folder: DIST})

    @override
    def prepare(self) -> None:
        build = self.layout.checkout / "sandbox/forge/build.sh"
        if not (self.programs_folder / ".complete").is_file():
            self.say("building Gitea from its modules; about 6 minutes of two cores, once")
        environment = {"SLIPWAY_PYTHON": str(self.layout.python)}
        log = self.layout.logs / "forge-build.log"
        run(
            ["/bin/bash", build, self.programs_folder],
            what="building Gitea",
            timeout_s=3600,
            env=environment,
            log=log,
        )
        owner = debian.system_user(USER)
        self.confined.prepare()
        self.folder.mkdir(exist_ok=True, mode=0o700)
        shutil.chown(self.folder, *owner)
        text = CONFIGURATION.format(
            inside=INSIDE,
            dist=DIST,
            port=self.layout.port("forge"),
            key=self.layout.secret("forge-key", length=32),
            token=self.layout.secret("forge-internal", length=48),
        )
        write_file(self.folder / "app.ini", text, 0o600, owner)
        if not (self.folder / "gitea.db").is_file():
            self._gitea("migrate")

    def _gitea(self, *arguments: str) -> str:
        """Run one of its commands as its user; give what it writes. It may run meanwhile."""
        command = self.confined.command([DIST / "gitea", "--config", INSIDE / "app.ini", *arguments])
        done = run(command, what=f"gitea {' '.join(arguments[:3])}", timeout_s=120, env={"HOME": str(INSIDE)})
        return done.stdout

    @override
    def programs(self) -> list[Program]:
        command: list[str | Path] = [DIST / "gitea", "--config", INSIDE / "app.ini", "web"]
        return [Program("forge", command, {"HOME": str(INSIDE)}, umask="077", confined=self.confined,
                        reads=[self.folder / "app.ini"])]  # fmt: skip

    @override
    def ready(self) -> str | None:
        import requests

        try:
            answer = session().get(f"{self.url}/api/healthz", timeout=5)
        except requests.exceptions.RequestException as error:
            return f"{self.url} does not answer ({type(error).__name__})"
        return None if answer.status_code == 200 else f"health answers {answer.status_code}"

    @override
    def address(self) -> str:
        return self.url

    # --- its API ---
    def call(self, method: str, path: str, body: object = None, *, accept: tuple[int, ...] = ()) -> Any:
        """Call the API as its administrator; give what it answers.

        :param accept: statuses that are as good as success: what is wanted may be there.
        :raises SandboxError: if it refuses.
        """
        password = self.layout.secret("forge-admin")
        answer = session().request(
            method, f"{self.url}/api/v1/{path}", json=body, auth=(ADMIN, password), timeout=30
        )
        if answer.status_code >= 300 and answer.status_code not in accept:
            raise SandboxError(
                f"the forge answers {method} {path} with {answer.status_code}: {answer.text[:300]}"
            )
        return answer.json() if answer.text.strip() else None

    @override
    def provision(self) -> None:
        self._accounts()
        self.call("POST", "orgs", {"username": ORGANIZATION}, accept=(422,))
        Vault(self.sandbox).put("slipway/forges/127.0.0.1", {"token": self._token()})
        for service in self.services():
            self._repository(service)

    def services(self) -> list[Service]:
        """Give the services of the catalog whose code is here."""
        return [one for one in self.sandbox.services if one.repository.startswith(f"{self.url}/")]

    def _accounts(self) -> None:
        there = self._gitea("admin", "user", "list")
        accounts = {ADMIN: "forge-admin", **ACCOUNTS}
        for name, secret in accounts.items():
            if re.search(rf"^\d+\s+{name}\s", there, re.MULTILINE):
                continue
            made = ["admin", "user", "create", "--username", name, "--email", f"{name}@forge.invalid"]
            # on its command line for a moment: Gitea takes no password elsewhere
            made += ["--password", self.layout.secret(secret), "--must-change-password=false"]
            self._gitea(*made, *(["--admin"] if name == ADMIN else []))

    def _token(self) -> str:
        """Give Slipway's token, which may write statuses; made anew where its file has gone."""
        path = self.layout.credentials / "forge-token"
        if not path.is_file():
            said = self._gitea(
                "admin", "user", "generate-access-token", "--username", "slipway",
                "--token-name", f"slipway-{secrets.token_hex(4)}", "--scopes", "write:repository", "--raw",
            )  # fmt: skip
            found = re.findall(r"^[0-9a-f]{40}$", said, re.MULTILINE)  # log lines come beside it
            if len(found) != 1:
                raise SandboxError("the forge has made no token")
            self.layout.keep_secret(path.name, found[0])
        return path.read_text().strip()

    def _repository(self, service: Service) -> None:
        """See that a service's repository is there, who may write to it, and the hook that starts its releases."""
        path = urlsplit(service.repository).path.removeprefix("/").removesuffix(".git")
        organization, _, name = path.partition("/")
        body = {"name": name, "private": True, "default_branch": service.branch}
        made = self.call("POST", f"orgs/{organization}/repos", body, accept=(409,))
        for account in ACCOUNTS:
            self.call("PUT", f"repos/{path}/collaborators/{account}", {"permission": "write"})
        if made.get("empty"):
            self._begin(path, service)
        url = f"{self.sandbox.airflow_url}/slipway/hooks/{service.name}"
        if not any(hook["config"]["url"] == url for hook in self.call("GET", f"repos/{path}/hooks")):
            secret = Vault(self.sandbox).hook_secret(service.name)
            config = {"url": url, "content_type": "json", "secret": secret}
            self.call("POST", f"repos/{path}/hooks",
                      {"type": "gitea", "active": True, "events": ["push"], "config": config})  # fmt: skip
            self.say(f"{path}: made, with its hook")

    def _begin(self, path: str, service: Service) -> None:
        """Give an empty repository its first commit, if there is an example for it; before there is a hook."""
        example = self.layout.checkout / "examples" / service.name
        if not example.is_dir():
            return
        with tempfile.TemporaryDirectory(prefix="slipway-forge-") as folder:
            bare = Path(folder) / "begin.git"
            run(["/usr/bin/git", "init", "-q", "--bare", bare], what=f"making {path}")
            begin(bare, example, service.branch)
            clone = Developer(self.sandbox, path, bare, server=self.url)
            clone.git("push", "--quiet", clone.url, f"refs/heads/{service.branch}")
