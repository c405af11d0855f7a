"""The image registry: Debian's docker-registry behind nginx, which holds the TLS key and the two accounts."""

from __future__ import annotations

import shutil
from pathlib import Path

from typing_extensions import override

from slipway_sandbox import debian, pki
from slipway_sandbox.layout import MACHINE_DIR, NODE_ADDRESS, write_file
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part
from slipway_sandbox.supervisor import Confined, Program

USER = "slipway-registry"
INSIDE = MACHINE_DIR / "registry"

# Docker-registry's htpasswd knows no rights, so nginx decides: the pull account reads, push may do
# all. The map refuses requests that name an account without the right; auth_basic checks who it really is.
NGINX = """daemon off;
pid {inside}/nginx.pid;
error_log stderr warn;
worker_processes 2;
events {{ worker_connections 512; }}
http {{
  access_log off;
  server_tokens off;
  client_body_temp_path {inside}/tmp/body; proxy_temp_path {inside}/tmp/proxy;
  fastcgi_temp_path {inside}/tmp/fastcgi;
  uwsgi_temp_path {inside}/tmp/uwsgi; scgi_temp_path {inside}/tmp/scgi;
  map "$request_method:$remote_user" $refused {{
    default 1;
    "~:$" 0;
    "~:push$" 0;
    "~^(GET|HEAD):pull$" 0;
  }}
  server {{
    listen 127.0.0.1:{port} ssl;
    listen {node}:{port} ssl;
    ssl_certificate {inside}/tls.crt;
    ssl_certificate_key {inside}/tls.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    client_max_body_size 0;
    location = /healthz {{ return 200 "ok\\n"; }}
    location /v2/ {{
      if ($refused) {{
        return 403 '{{"errors":[{{"code":"DENIED","message":"this account may only pull"}}]}}';
      }}
      auth_basic "Slipway registry";
      auth_basic_user_file {inside}/accounts;
      add_header Docker-Distribution-Api-Version registry/2.0 always;
      proxy_hide_header Docker-Distribution-Api-Version;
      proxy_pass http://unix:{inside}/registry.sock;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header Authorization "";
      proxy_request_buffering off;
      proxy_buffering off;
      proxy_read_timeout 600s;
    }}
  }}
}}
"""

REGISTRY = """version: 0.1
log: {{level: warn, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {inside}/data}}
  delete: {{enabled: true}}
  cache: {{blobdescriptor: inmemory}}
http:
  net: unix
  addr: {inside}/registry.sock
  relativeurls: true
  secret: {secret}
"""


class Registry(Part):
    """TLS from the sandbox's own authority; accounts `push` and `pull`; deletion enabled."""

    name = "registry"
    depends = ("network",)
    debian = ("/usr/sbin/nginx", "/usr/bin/docker-registry", "/usr/bin/openssl")
    ports = ("registry",)
    listeners = ("registry-nginx",)

    @property
    def confined(self) -> Confined:
        """How its processes are shut in."""
        return Confined(USER, {self.folder: INSIDE})

    @override
    def prepare(self) -> None:
        owner = debian.system_user(USER)
        self.confined.prepare()
        for folder in (self.folder, self.folder / "data", self.folder / "tmp"):
            folder.mkdir(exist_ok=True, mode=0o700)
            shutil.chown(folder, *owner)
        names = ["registry.slipway.test", "localhost"]
        pki.ensure_server_certificate(
            self.layout, self.folder, "registry", [NODE_ADDRESS, "127.0.0.1"], names, owner
        )
        accounts = self.folder / "accounts"
        if not accounts.is_file():
            hashed = {
                name: self.sandbox.password_hash(self.layout.secret(f"registry-{name}"))
                for name in ("push", "pull")
            }
            write_file(accounts, "".join(f"{name}:{value}\n" for name, value in hashed.items()), 0o600, owner)
        port = self.layout.port("registry")
        write_file(
            self.folder / "nginx.conf",
            NGINX.format(inside=INSIDE, port=port, node=NODE_ADDRESS),
            0o600,
            owner,
        )
        secret = self.layout.secret("registry-http-secret")
        write_file(self.folder / "config.yml", REGISTRY.format(inside=INSIDE, secret=secret), 0o600, owner)

    @override
    def programs(self) -> list[Program]:
        server, nginx = (
            debian.program(self.layout, path) for path in ("/usr/bin/docker-registry", "/usr/sbin/nginx")
        )
        # a socket left by a killed server would keep it from starting
        serve: list[str | Path] = [
            "/bin/sh",
            "-c",
            f"rm -f {INSIDE}/registry.sock; exec {server} serve {INSIDE}/config.yml",
        ]
        front: list[str | Path] = [nginx, "-c", INSIDE / "nginx.conf", "-p", INSIDE, "-e", "stderr"]
        return [
            Program("registry", serve, {"OTEL_TRACES_EXPORTER": "none"}, confined=self.confined,
                    reads=[self.folder / "config.yml"]),
            Program("registry-nginx", front, stop_signal="QUIT", confined=self.confined,
                    reads=[self.folder / name for name in ("nginx.conf", "accounts", "tls.crt")]),
        ]  # fmt: skip

    @override
    def ready(self) -> str | None:
        import requests

        user, password = self.sandbox.registry_account("pull")
        try:
            answer = session(str(self.sandbox.registry_ca)).get(
                f"https://{self.sandbox.registry}/v2/",
                auth=(user, self.sandbox.password(password)),
                timeout=5,
            )
        except (requests.exceptions.RequestException, OSError) as error:
            return f"https://{self.sandbox.registry} does not answer ({type(error).__name__})"
        return (
            None if answer.status_code == 200 else f"/v2/ answers {answer.status_code} to the account {user}"
        )

    @override
    def address(self) -> str:
        return f"https://{self.sandbox.registry}"
