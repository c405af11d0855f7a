"""The toolboxes that are tools rather than gates, and what no image may hold."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from slipway.toolboxes.clients import PackageClients
from slipway.toolboxes.recipes import Recipes

EXAMPLE = Path(__file__).parents[3] / "examples/ai-generation"
DATABASE = (
    "--tmpfs",
    "/var/lib/postgresql:mode=1777",
    "-e",
    "POSTGRES_DB=service",
    "-e",
    "POSTGRES_PASSWORD=throwaway",
)


def test_throwaway_database_is_ready_in_seconds_and_takes_the_examples_changelog(engine: Any) -> None:
    began = time.monotonic()
    database = engine.start("toolbox-postgres", *DATABASE)
    engine.docker("exec", database, "/opt/slipway/bin/ready", "30")
    ready_s = time.monotonic() - began
    changelog = {
        f"src/migrations/{path.relative_to(EXAMPLE / 'migrations')}": path.read_text()
        for path in sorted((EXAMPLE / "migrations").rglob("*"))
        if path.is_file()
    }
    credentials = {"host": "127.0.0.1", "port": 5432, "database": "service"}
    credentials |= {"username": "postgres", "password": "throwaway"}
    source = engine.volume({**changelog, "database.json": json.dumps(credentials)})

    def migrations(*arguments: str) -> str:
        ended = engine.run(
            "toolbox-migrations",
            *(
                "slipway-migrations",
                *arguments,
                "--engine",
                "liquibase",
                "--changelog",
                "migrations/changelog.yaml",
                "--contexts",
                "test",
            ),
            source=source,
            network=f"container:{database}",
            options=(
                "-e",
                "DATABASE=/workspace/database.json",
                "-e",
                "WORK=/workspace/src",
                "-e",
                "RESULT=/tmp/result",
            ),
        )
        assert ended.code == 0, ended.said
        return ended.said

    assert "3 are pending" in migrations("status")
    began = time.monotonic()
    assert "3 changesets were applied" in migrations("update", "--phase", "all")
    update_s = time.monotonic() - began
    assert "0 are pending" in migrations("status")
    print(f"database ready after {ready_s:.1f} s, `update` took {update_s:.1f} s")
    assert ready_s < 15
    assert update_s < 20


def test_wrong_password_is_refused_by_the_throwaway_database(engine: Any) -> None:
    database = engine.start("toolbox-postgres", *DATABASE)
    engine.docker("exec", database, "/opt/slipway/bin/ready", "30")
    refused = engine.docker(
        "exec",
        "-e",
        "PGPASSWORD=wrong",
        database,
        "psql",
        "-h",
        "127.0.0.1",
        "-U",
        "postgres",
        "-c",
        "select 1",
        check=False,
    )
    assert refused.returncode
    assert b"password authentication failed" in refused.stderr


def test_ansible_runs_a_playbook_and_knows_kubernetes(engine: Any) -> None:
    playbook = """
- hosts: localhost
  gather_facts: false
  tasks:
    - kubernetes.core.k8s_info: {kind: Pod, host: "https://127.0.0.1:1", api_key: none, validate_certs: false}
      register: asked
      ignore_errors: true
    - assert: {that: ["asked is failed", "'Max retries' in asked.msg or 'refused' in asked.msg"]}
"""
    source = engine.volume(
        {"src/site.yaml": playbook, "src/ansible.cfg": "[defaults]\ninventory = /nowhere\n"}
    )
    ended = engine.run("toolbox-ansible", "ansible-playbook", "site.yaml", source=source)
    assert ended.code == 0, ended.said
    assert "failed=0" in ended.said


# where pip, uv, npm, Maven and apt keep settings, lists and caches
SETTINGS = re.compile(
    r"(etc|root|home|tmp|run|var)/|.*(pip\.conf|\.npmrc|\.netrc|uv\.toml|settings\.xml|\.sources|sources\.list)$"
)


@pytest.mark.parametrize("name", sorted(Recipes.of().needed()))
def test_image_holds_no_setting_of_this_machines_package_clients(engine: Any, name: str) -> None:
    """Neither in a file of a layer nor in the image's history."""
    secrets = PackageClients.of_this_machine().secrets()
    settings = " ".join(secrets.get(name, "") for name in ("apt_sources", "pip_conf", "npmrc")).split()
    settings += re.findall(r"<(?:url|host)>([^<]+)<", secrets.get("maven_settings", ""))
    hosts = {word.split("//")[-1].split("/")[0] for word in settings if "//" in word}
    hosts_here = {host.encode() for host in hosts}
    authorities = set[bytes]()
    for added in Path("/usr/local/share/ca-certificates").rglob("*.crt"):
        authorities.add(added.read_bytes().splitlines()[1])
    read, found = 0, []
    for file, content in engine.layers(name):
        # packages name well-known hosts in their own files: hosts are looked for where settings lie
        marks = authorities | (hosts_here if SETTINGS.match(file) else set())
        read, found = read + 1, found + [file for mark in marks if mark in content]
    assert read
    assert not found
    history = engine.docker("image", "inspect", engine.images[name]).stdout
    assert not [mark for mark in authorities | hosts_here if mark in history]
    assert json.loads(history)[0]["Config"]["Labels"]["dev.slipway.key"]
