"""The cluster: run by sandbox/kubernetes, provisioned here with Slipway's identity and the namespaces."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from typing_extensions import override

from slipway_sandbox.layout import NODE_ADDRESS, SandboxError, write_file
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Part
from slipway_sandbox.run import run, wait_until
from slipway_sandbox.supervisor import tail

SYSTEM = "slipway-system"
MANAGER = "slipway-sandbox"
HOSTS = ("postgres", "vault", "registry", "git")
WRITE = ["get", "list", "watch", "create", "update", "patch", "delete"]
READ = ["get", "list", "watch"]
# what Slipway may do in a service's namespace, and nowhere else
SLIPWAY_RULES = [
    (["apps"], ["deployments"], WRITE),
    (["apps"], ["replicasets"], READ),
    ([""], ["services", "configmaps", "secrets", "serviceaccounts", "pods"], WRITE),
    ([""], ["pods/log"], ["get", "list", "watch"]),
    ([""], ["services/proxy"], ["get"]),  # how health is asked
    ([""], ["events"], READ),
    ([""], ["namespaces"], ["get"]),
    (["events.k8s.io"], ["events"], READ),
    (["policy"], ["poddisruptionbudgets"], WRITE),
]
# what a playbook may do that runs as `slipway-infra`
INFRA_RULES = [
    ([""], ["resourcequotas", "limitranges"], WRITE),
    (["policy"], ["poddisruptionbudgets"], WRITE),
    (["networking.k8s.io"], ["networkpolicies"], WRITE),
]
SECURITY = {"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/warn": "restricted"}
PATHS = {
    "Namespace": "/api/v1/namespaces",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings",
}


def _object(kind: str, name: str, namespace: str | None = None, **rest: Any) -> dict[str, Any]:
    version = "rbac.authorization.k8s.io/v1" if kind.startswith("Role") else "v1"
    metadata: dict[str, Any] = {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        **rest.pop("metadata", {}),
    }
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _role(
    name: str, namespace: str, rules: list[tuple[list[str], list[str], list[str]]], account_in: str
) -> list[dict[str, Any]]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": name, "namespace": account_in}
    written = [
        {"apiGroups": groups, "resources": resources, "verbs": verbs} for groups, resources, verbs in rules
    ]
    return [
        _object("Role", name, namespace, rules=written),
        _object("RoleBinding", name, namespace, roleRef=reference, subjects=[subject]),
    ]


def manifests(namespaces: list[str], registry: str, username: str, password: str) -> list[dict[str, Any]]:
    """What the cluster must hold before the first release.

    Slipway's account; in each namespace its rights, the pull secret, and the account that playbooks run as.
    """
    found = [
        _object("Namespace", SYSTEM),
        _object("ServiceAccount", "slipway", SYSTEM),
        _object("Secret", "slipway-token", SYSTEM, type="kubernetes.io/service-account-token",
                metadata={"annotations": {"kubernetes.io/service-account.name": "slipway"}}),
    ]  # fmt: skip
    login = {
        "username": username,
        "password": password,
        "auth": base64.b64encode(f"{username}:{password}".encode()).decode(),
    }
    docker = base64.b64encode(json.dumps({"auths": {registry: login}}).encode()).decode()
    for name in sorted(set(namespaces)):
        found.append(_object("Namespace", name, metadata={"labels": SECURITY}))
        found.append(
            _object(
                "Secret",
                "registry-pull",
                name,
                type="kubernetes.io/dockerconfigjson",
                data={".dockerconfigjson": docker},
            )
        )
        pull = [{"name": "registry-pull"}]
        found += [
            _object("ServiceAccount", account, name, imagePullSecrets=pull)
            for account in ("default", "slipway-infra")
        ]
        found += _role("slipway", name, SLIPWAY_RULES, SYSTEM) + _role(
            "slipway-infra", name, INFRA_RULES, name
        )
    return found


class Kubernetes(Part):
    """Its processes run under the supervisor as k8s-*; the cluster's scripts start and stop them."""

    name = "kubernetes"
    depends = ("network",)
    ready_timeout_s = 120

    def script(self, name: str, *arguments: str | Path, timeout_s: float = 300) -> None:
        """Run one of the cluster's scripts; its output goes to logs/kubernetes-<name>.log."""
        log = self.layout.logs / f"kubernetes-{name.removesuffix('.sh')}.log"
        environment = {
            "SLIPWAY_SUPERVISOR_CONF": str(self.sandbox.supervisor.configuration),
            "SLIPWAY_PYTHON": str(self.layout.python),
        }
        command = ["bash", str(self.layout.checkout / "sandbox/kubernetes" / name), *map(str, arguments)]
        run(command, what=f"kubernetes/{name}", timeout_s=timeout_s, log=log, env=environment)

    @contextmanager
    def telling(self, name: str, quiet_s: float = 60) -> Iterator[None]:
        """Tell what a script of minutes writes to its log as it comes, and that it goes on when it writes nothing.

        :param quiet_s: seconds without a line after which that is told.
        """
        log, ended = self.layout.logs / f"kubernetes-{name.removesuffix('.sh')}.log", threading.Event()
        read = log.stat().st_size if log.exists() else 0

        def tell() -> None:
            nonlocal read
            start = last = time.monotonic()
            while not ended.wait(1):
                now = time.monotonic()
                with contextlib.suppress(FileNotFoundError), log.open(errors="replace") as stream:
                    stream.seek(read)
                    for line in iter(stream.readline, ""):
                        if not line.endswith("\n"):
                            break  # the rest of it comes later
                        read += len(line.encode())
                        if (words := line.partition(f"[{name}] ")[2].strip()) and now - start > 5:
                            self.say(words)
                            last = now
                if now - last > quiet_s:
                    self.say(f"still building, for {now - start:.0f} s; see {log}")
                    last = now

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield
        finally:
            ended.set()
            teller.join()

    @property
    def cache(self) -> Path:
        """Where the cluster's programs are built to."""
        return self.layout.cache / "kubernetes"

    @override
    def program_names(self) -> list[str]:
        return sorted(name for name in self.sandbox.supervisor.processes() if name.startswith("k8s-"))

    @override
    def up(self) -> None:
        if not self.is_external:
            if not self.folder.is_dir() and (lost := self.program_names()):  # with it went its pid files
                self.say("the cluster's folder has gone: its processes are ended, and it is made anew")
                self.sandbox.supervisor.stop(lost)
                self.clean()
            known = self.sandbox.supervisor.processes()
            names = [name for name in known if name.startswith("k8s-")]
            all_run = len(names) >= 8 and all(known[name]["statename"] == "RUNNING" for name in names)
            if not (all_run and self.ready() is None):
                if not (self.cache / ".complete").exists():
                    self.say("building the cluster from its modules; about 8 minutes of two cores, once")
                with self.telling("build.sh"):
                    self.timed(
                        lambda: self.script("build.sh", self.cache, timeout_s=3600), "built or already there"
                    )
                self.timed(lambda: self.script("up.sh", self.folder, self.cache), "cluster is up")
            self.write_names()
        wait_until(self.ready, self.ready_timeout_s, "the cluster's API server", 0.2)
        self.provision()

    def write_names(self) -> None:
        """Tell pods the names of the sandbox's servers, and containerd the registry's certificate."""
        hosts = f"{NODE_ADDRESS} host.cluster.local {' '.join(f'{name}.slipway.test' for name in HOSTS)}\n"
        write_file(self.folder / "dns/hosts", hosts)
        registry = self.sandbox.registry
        write_file(
            self.folder / f"certs.d/{registry}/hosts.toml",
            f'server = "https://{registry}"\n[host."https://{registry}"]\n'
            f'capabilities = ["pull", "resolve"]\nca = "{self.sandbox.registry_ca}"\n',
        )

    def _session(self) -> tuple[str, Any]:
        """Address of the API server, and a session as its administrator, out of the admin's kubeconfig."""
        if not self.is_external:  # its own keys lie beside it; importing the client costs seconds
            keys = self.folder / "pki"
            made = session(str(keys / "ca.crt"))
            made.cert = (str(keys / "admin.crt"), str(keys / "admin.key"))
            return self.address(), made
        from kubernetes.client import Configuration
        from kubernetes.config import load_kube_config

        loaded = Configuration()
        load_kube_config(str(self.sandbox.admin_kubeconfig), client_configuration=loaded)
        made = session(loaded.ssl_ca_cert or loaded.verify_ssl)
        made.cert = (loaded.cert_file, loaded.key_file) if loaded.cert_file else None
        if token := loaded.get_api_key_with_prefix("authorization"):
            made.headers["Authorization"] = token
        return loaded.host, made

    @override
    def ready(self) -> str | None:
        import requests

        if not self.sandbox.admin_kubeconfig.is_file():
            return f"there is no {self.sandbox.admin_kubeconfig} yet"
        try:
            host, http = self._session()
            answer = http.get(f"{host}/readyz", timeout=10)
        except (requests.exceptions.RequestException, OSError) as error:
            return f"the API server does not answer ({type(error).__name__})"
        return (
            None if answer.status_code == 200 else f"readyz answers {answer.status_code}: {answer.text[:200]}"
        )

    @override
    def address(self) -> str:
        if not self.sandbox.admin_kubeconfig.is_file():
            return ""
        return str(
            yaml.safe_load(self.sandbox.admin_kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        )

    @override
    def provision(self) -> None:
        user, password_file = self.sandbox.registry_account("pull")
        password = self.sandbox.password(password_file)
        namespaces = [service.namespace for service in self.sandbox.services]
        host, http = self._session()
        with http:
            for manifest in manifests(namespaces, self.sandbox.registry, user, password):
                path = PATHS[manifest["kind"]].format(namespace=manifest["metadata"].get("namespace"))
                answer = http.patch(
                    f"{host}{path}/{manifest['metadata']['name']}?fieldManager={MANAGER}&force=true",
                    data=json.dumps(manifest),
                    headers={"Content-Type": "application/apply-patch+yaml"},
                    timeout=20,
                )
                if answer.status_code not in (200, 201):
                    raise SandboxError(
                        f"the cluster refuses {manifest['kind']} {manifest['metadata']['name']}: "
                        f"{answer.status_code} {answer.json().get('message', answer.text[:300])}"
                    )
        self._write_kubeconfig()

    def _write_kubeconfig(self) -> None:
        """Slipway's own kubeconfig, with the token of its service account."""
        token: dict[str, str] = {}
        host, http = self._session()

        def missing() -> str | None:
            answer = http.get(f"{host}/api/v1/namespaces/{SYSTEM}/secrets/slipway-token", timeout=10)
            token.update(answer.json().get("data") or {})
            return None if "token" in token and "ca.crt" in token else "the service account has no token yet"

        wait_until(missing, 30, "Slipway's account in the cluster")
        server = self.address()
        admin = yaml.safe_load(self.sandbox.admin_kubeconfig.read_text())["clusters"][0]["cluster"]
        authority = admin.get("certificate-authority-data") or token["ca.crt"]
        cluster = {"server": server, "certificate-authority-data": authority}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "slipway", "cluster": cluster}],
            "users": [{"name": "slipway", "user": {"token": base64.b64decode(token["token"]).decode()}}],
            "contexts": [{"name": "slipway", "context": {
                "cluster": "slipway", "user": "slipway",
                "namespace": self.sandbox.services[0].namespace if self.sandbox.services else "default"}}],
            "current-context": "slipway",
        }  # fmt: skip
        write_file(
            self.layout.credentials / "slipway.kubeconfig", yaml.safe_dump(document, sort_keys=False), 0o600
        )

    @override
    def log_tail(self, lines: int = 20) -> str:
        scripts = [self.layout.logs / f"kubernetes-{name}.log" for name in ("build", "up")]
        troubled = [
            name.removeprefix("k8s-")
            for name in self.program_names()
            if self.sandbox.supervisor.problem(name)
        ]
        logs = [path for path in scripts if path.is_file()] + [
            self.folder / f"logs/{name}.log" for name in troubled[:2]
        ]
        return "\n".join(f"--- {path}\n{tail(path, lines)}" for path in logs[-3:])

    @override
    def down(self) -> None:
        if not self.is_external:
            self.script("down.sh", self.folder)

    @override
    def clean(self) -> None:
        """After everything was killed: what the cluster left on the machine."""
        if self.folder.is_dir() or Path("/run/slipway/kubernetes").exists():
            self.script("network.sh", "sweep", self.folder)
