"""What the sandbox tells the others: platform.yaml, Airflow's connections, and shell exports."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from urllib.parse import urlsplit

import yaml

from slipway_sandbox.layout import write_file
from slipway_sandbox.part import Sandbox
from slipway_sandbox.parts.docker import Docker
from slipway_sandbox.parts.packages import Packages
from slipway_sandbox.parts.postgres import Postgres

# The sandbox's advisories come out of a package whose newest data are of July 2026; a team mirrors its own daily.
ADVISORIES_MAX_AGE_DAYS = 730


def publish(sandbox: Sandbox) -> None:
    """Write platform.yaml and connections.yaml from what is known now; repeated as parts become ready."""
    with sandbox.publishing:
        _platform(sandbox)
        _connections(sandbox)


def _platform(sandbox: Sandbox) -> None:
    from slipway.toolboxes.recipes import Recipes
    from slipway_sandbox import package_index

    layout = sandbox.layout
    images, bases = Recipes.of().parted(layout.recorded("images.json") or {})
    host, port = Postgres(sandbox).pod_endpoint()
    index: dict[str, object] = {"environment": package_index.index_environment()}
    if Docker(sandbox).ready() is None and (volume := package_index.index_ca_volume(sandbox.docker_host)):
        index["ca_volume"] = volume
    document = {
        "environment": "staging",
        "git": {"url": sandbox.git_url},
        "registry": {"address": sandbox.registry, "ca_file": str(sandbox.registry_ca)},
        "images": images,
        "base_images": {**_added(sandbox, bases), **bases},
        "package_index": index,
        "packages": Packages(sandbox).recorded() or None,
        "database": {"host": host, "port": port},
        "advisories": {"max_age_days": ADVISORIES_MAX_AGE_DAYS, "sources": _sources(sandbox)},
        "airflow": {"url": sandbox.airflow_url},
    }
    text = "# written by the sandbox\n" + yaml.safe_dump(document, sort_keys=False)
    write_file(layout.platform_file, text, 0o600)  # an index URL may hold a password


def _added(sandbox: Sandbox, own: Mapping[str, str]) -> dict[str, str]:
    """What somebody has added to the bases (`slipway bases add`, `update NAME`); it stays."""
    file = sandbox.layout.platform_file
    known = (
        (yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("base_images") if file.is_file() else {}
    )
    return {name: image for name, image in (known or {}).items() if name not in own}


def _sources(sandbox: Sandbox) -> dict[str, str]:
    """Of what there are advisories: of what the package proxies have, where this machine's clients know an index of it."""
    known = Packages(sandbox).recorded() or {}
    named = {"Debian": "debian_security", "Go": "go"}
    return {ecosystem: "packages" for ecosystem, kind in named.items() if kind in known}


def _connections(sandbox: Sandbox) -> None:
    layout = sandbox.layout
    pull_user, pull_password = sandbox.registry_account("pull")
    found: dict[str, object] = {
        "slipway_engine": {
            "conn_type": "docker",
            "host": sandbox.registry,
            "login": pull_user,
            "password": sandbox.password(pull_password),
            "extra": {"docker_url": sandbox.docker_host},
        },
        "slipway_cluster_staging": {
            "conn_type": "kubernetes",
            "extra": {"kube_config_path": str(layout.credentials / "slipway.kubeconfig")},
        },
    }
    role, secret = layout.credentials / "vault-worker-role-id", layout.credentials / "vault-worker-secret-id"
    if role.is_file() and secret.is_file():
        address = urlsplit(sandbox.vault_address)
        ca_file = sandbox.setting("vault", "ca_file", "")
        found["slipway_vault"] = {
            "conn_type": "vault",
            "host": address.hostname,
            "port": address.port or 8200,
            "login": role.read_text(),
            "password": secret.read_text(),
            "schema": "secret",
            "extra": {
                "auth_type": "approle",
                "kv_engine_version": 2,
                "use_tls": address.scheme == "https",
                **({"client_kwargs": {"verify": ca_file}} if ca_file else {}),
            },
        }
    host, port = Postgres(sandbox).endpoint()
    found["slipway_ledger"] = {
        "conn_type": "postgres",
        "host": host,
        "port": port,
        "login": "ledger",
        "password": layout.secret("postgres-ledger"),
        "schema": "ledger",
    }
    write_file(layout.state / "connections.yaml", "# written by the sandbox\n" + yaml.safe_dump(found), 0o600)
    write_file(layout.credentials / "ledger-url", Postgres(sandbox).url("ledger", "ledger"), 0o600)


def exports(sandbox: Sandbox) -> str:
    """Shell exports of the parts' addresses. Secrets are named by file; the shell reads LEDGER_URL."""
    layout = sandbox.layout
    ledger = layout.credentials / "ledger-url"
    values = {
        "SLIPWAY_STATE": layout.state,
        "SLIPWAY_CACHE": layout.cache,
        "SLIPWAY_PLATFORM": layout.platform_file,
        "SLIPWAY_CREDENTIALS": layout.credentials,
        "AIRFLOW_URL": sandbox.airflow_url,
        "AIRFLOW_HOME": layout.state / "airflow",
        "KUBECONFIG": layout.credentials / "slipway.kubeconfig",
        "REGISTRY": sandbox.registry,
        "REGISTRY_CA_FILE": sandbox.registry_ca,
        "VAULT_ADDR": sandbox.vault_address,
        "GIT_URL": sandbox.git_url,
        "LEDGER_URL_FILE": ledger,
        "DOCKER_HOST": sandbox.docker_host,
    }
    lines = [f"export {key}={shlex.quote(str(value))}" for key, value in values.items()]
    # read by the shell that evaluates this, so that the password is in no output
    lines.append(f'export LEDGER_URL="$(cat {shlex.quote(str(ledger))})"')
    return "\n".join(lines)
