"""The git server: bare repositories over HTTP, accounts, and the hooks that trigger releases."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from typing_extensions import override

from slipway_sandbox import debian
from slipway_sandbox.developer import LITTER, neutral
from slipway_sandbox.layout import MACHINE_DIR, write_file
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part
from slipway_sandbox.run import run
from slipway_sandbox.supervisor import Confined, Program

USER = "slipway-git"
INSIDE = MACHINE_DIR / "git"
ACCOUNTS = ("developer", "slipway", "config-editor")
# by the folder of the repository: account -> the references (by prefix) that it may push; for the update hook
PUSH_RIGHTS = {
    "services": {"developer": ["refs/heads/", "refs/tags/"], "slipway": ["refs/notes/"]},
    "config": {"config-editor": ["refs/heads/", "refs/tags/"]},
}

NGINX = """daemon off;
pid {inside}/nginx.pid;
error_log stderr warn;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off;
  server_tokens off;
  client_body_temp_path {inside}/tmp/body; proxy_temp_path {inside}/tmp/proxy;
  fastcgi_temp_path {inside}/tmp/fastcgi;
  uwsgi_temp_path {inside}/tmp/uwsgi; scgi_temp_path {inside}/tmp/scgi;
  server {{
    listen 127.0.0.1:{port};
    client_max_body_size 1g;
    location = /healthz {{ return 200 "ok\\n"; }}
    location ~ "^/(services|config)/[^/.]+[.]git/(HEAD|info/refs|objects/.+|git-(upload|receive)-pack)$" {{
      auth_basic "Slipway git";
      auth_basic_user_file {inside}/accounts;
      fastcgi_pass unix:{inside}/fcgi.sock;
      fastcgi_read_timeout 300s;
      fastcgi_request_buffering off;
      fastcgi_buffering off;
      fastcgi_param SCRIPT_FILENAME /usr/lib/git-core/git-http-backend;
      fastcgi_param GIT_PROJECT_ROOT {inside}/repositories;
      fastcgi_param GIT_HTTP_EXPORT_ALL "";
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      fastcgi_param HTTP_CONTENT_ENCODING $http_content_encoding;
      fastcgi_param HTTP_GIT_PROTOCOL $http_git_protocol;
      fastcgi_param REMOTE_USER $remote_user;
      fastcgi_param REMOTE_ADDR $remote_addr;
      fastcgi_param PATH /usr/sbin:/usr/bin:/sbin:/bin;
      fastcgi_param HOME {inside};
    }}
  }}
}}
"""

SETTINGS = {
    "http.receivepack": "true",
    "receive.fsckObjects": "true",
    "receive.denyDeleteCurrent": "warn",
    "receive.autogc": "false",  # it would detach a process that no supervisor knows
    "uploadpack.allowReachableSHA1InWant": "true",
    "core.logAllRefUpdates": "true",
}


class Git(Part):
    """nginx-light, fcgiwrap and `git http-backend` on loopback, all as one user of their own."""

    name = "git"
    depends = ("network",)
    debian = ("/usr/sbin/nginx", "/usr/sbin/fcgiwrap", "/usr/bin/git", "/usr/bin/python3", "/usr/bin/openssl")
    ports = ("git",)
    listeners = ("git-nginx",)

    @property
    def confined(self) -> Confined:
        """How its processes are shut in."""
        return Confined(USER, {self.folder: INSIDE})

    @property
    def repositories(self) -> Path:
        """The folder of the bare repositories."""
        return self.folder / "repositories"

    @override
    def prepare(self) -> None:
        owner = debian.system_user(USER)
        self.confined.prepare()
        for folder in (self.folder, self.folder / "tmp", self.repositories):
            folder.mkdir(exist_ok=True, mode=0o700)
            shutil.chown(folder, *owner)
        accounts = self.folder / "accounts"
        if not accounts.is_file():
            hashed = {
                name: self.sandbox.password_hash(self.layout.secret(f"git-{name}")) for name in ACCOUNTS
            }
            write_file(accounts, "".join(f"{name}:{value}\n" for name, value in hashed.items()), 0o600, owner)
        nginx = NGINX.format(inside=INSIDE, port=self.layout.port("git"))
        write_file(self.folder / "nginx.conf", nginx, 0o600, owner)

    @override
    def programs(self) -> list[Program]:
        wrap, nginx = (
            debian.program(self.layout, path) for path in ("/usr/sbin/fcgiwrap", "/usr/sbin/nginx")
        )
        cgi: list[str | Path] = [
            "/bin/sh",
            "-c",
            f"rm -f {INSIDE}/fcgi.sock; exec {wrap} -f -c 6 -s unix:{INSIDE}/fcgi.sock",
        ]
        front: list[str | Path] = [nginx, "-c", INSIDE / "nginx.conf", "-p", INSIDE, "-e", "stderr"]
        return [
            Program("git-backend", cgi, umask="077", confined=self.confined),
            Program("git-nginx", front, stop_signal="QUIT", confined=self.confined,
                    reads=[self.folder / "nginx.conf"]),
        ]  # fmt: skip

    @override
    def ready(self) -> str | None:
        import requests

        user, password = self.sandbox.git_account
        repositories = [service.repository for service in self.sandbox.services]
        try:
            if self.is_external:
                url = f"{self.sandbox.git_url}/{repositories[0]}.git/info/refs?service=git-upload-pack"
                answer = session().get(url, auth=(user, self.sandbox.password(password)), timeout=5)
            else:
                answer = session().get(f"{self.sandbox.git_url}/healthz", timeout=5)
                if not (self.folder / "fcgi.sock").exists():
                    return "fcgiwrap has not made its socket"
        except (requests.exceptions.RequestException, OSError) as error:
            return f"{self.sandbox.git_url} does not answer ({type(error).__name__})"
        return None if answer.status_code == 200 else f"{answer.url} answers {answer.status_code}"

    @override
    def address(self) -> str:
        return self.sandbox.git_url

    @override
    def provision(self) -> None:
        if self.is_external:
            return
        examples = self.layout.checkout / "examples"
        for service in self.sandbox.services:
            if "://" not in service.repository:
                self._repository(service.repository, examples / service.name, service.branch)
                self._trigger(service.repository, service.name, service.branch, service.dag_id)
            if service.config_repository and "://" not in service.config_repository:
                self._repository(
                    service.config_repository, examples / f"{service.name}-config", service.config_branch
                )

    def _repository(self, name: str, example: Path | None = None, branch: str = "main") -> None:
        """A bare repository with our settings and the hook that decides who may push what.

        :param example: folder whose files a new repository begins with, if it is there.
        """
        uid, gid = debian.system_user(USER)
        folder = self.repositories / f"{name}.git"
        if not (folder / "HEAD").is_file():
            # made beside its place: one that a kill left half made is not taken for a repository
            made = folder.with_name(f"{folder.name}.new")
            shutil.rmtree(made, ignore_errors=True)
            made.parent.mkdir(parents=True, exist_ok=True)
            run(
                ["/usr/bin/git", "init", "-q", "--bare", f"--initial-branch={branch}", made],
                what=f"making {name}.git",
            )
            shutil.rmtree(made / "hooks")
            (made / "hooks").mkdir()
            for key, value in SETTINGS.items():
                run(
                    ["/usr/bin/git", "config", "--file", made / "config", key, value],
                    what=f"configuring {name}.git",
                )
            if example and example.is_dir():
                begin(made, example, branch)
            for path in (made.parent, made, *made.rglob("*")):
                shutil.chown(path, uid, gid)
            made.rename(folder)
            self.say(f"{name}.git made")
        self._hook(folder, "update")
        rights = json.dumps(PUSH_RIGHTS.get(name.partition("/")[0], {}), indent=1) + "\n"
        write_file(folder / "slipway-rights.json", rights, 0o600, (uid, gid))

    def _trigger(self, name: str, service: str, branch: str, dag_id: str) -> None:
        """The hook that triggers releases, and what it has to know; only the git user can read that."""
        owner = debian.system_user(USER)
        folder = self.repositories / f"{name}.git"
        self._hook(folder, "post-receive")
        trigger = {
            "airflow_url": self.sandbox.airflow_url,
            "username": "hook",
            "password": self.layout.secret("airflow-hook"),
            "service": service,
            "branch": branch,
            "dag_id": dag_id,
            "timeout_s": 4.5,
        }
        write_file(folder / "slipway-hook.json", json.dumps(trigger, indent=1) + "\n", 0o600, owner)

    def _hook(self, folder: Path, name: str) -> None:
        text = (self.layout.checkout / "sandbox/hooks" / name).read_text()
        write_file(folder / "hooks" / name, text, 0o755, (0, 0))  # the git user may run it, not change it


def begin(repository: Path, example: Path, branch: str) -> None:
    """Give an empty bare repository its first commit: the files of an example.

    Fetched by the repository rather than pushed to it: no hook runs, so nothing is released before somebody pushes.
    """
    with tempfile.TemporaryDirectory(prefix="slipway-example-") as folder:
        work = Path(folder) / "example"
        shutil.copytree(example, work, ignore=LITTER)
        who = ["-c", "user.name=Slipway sandbox", "-c", "user.email=sandbox@localhost"]
        reference = f"refs/heads/{branch}"
        for where, arguments in (
            (work, ["init", "--quiet", f"--initial-branch={branch}"]),
            (work, ["add", "--all"]),
            (work, [*who, "commit", "--quiet", "--message", "Begin with the example"]),
            # `maintenance` would detach a process that no supervisor knows
            (
                repository,
                ["-c", "maintenance.auto=false", "fetch", "--quiet", work, f"{reference}:{reference}"],
            ),
        ):
            run(
                ["/usr/bin/git", *arguments],
                what=f"putting {example.name} into {repository.name}",
                env=neutral(),
                cwd=where,
            )
