"""The image and docker-compose.yaml, for real: built, started, healthy, used, and gone without a trace.

It needs the sandbox's engine and images, and Debian's docker-compose, which it installs if that is missing.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from slipway.catalog import load_platform
from slipway.toolboxes.clients import PackageClients
from slipway_sandbox.images import pull, pulling, recorded
from slipway_sandbox.lifecycle import Progress, open_sandbox

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[3]
STATE = Path(os.environ.get("SLIPWAY_STATE") or Path.home() / ".local/state/slipway/sandbox")
DOCKER = "/usr/bin/docker"  # Debian's
RELEASE = "release_ai_generation"
COMMIT = secrets.token_hex(20)
PROCESSES = {"postgres", "api-server", "scheduler", "dag-processor", "triggerer"}
HEALTHY_S = 400


def run(*argv: str | Path, env: Mapping[str, str], timeout_s: float = 60) -> str:
    """Run a program to its end, and give what it said."""
    done = subprocess.run(
        [str(word) for word in argv],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    assert done.returncode == 0, f"{' '.join(map(str, argv))}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def wait_until(probe: Callable[[], str | None], timeout_s: float) -> None:
    """Wait until the probe finds nothing that is missing."""
    deadline = time.monotonic() + timeout_s
    while missing := probe():
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s: {missing}"
        time.sleep(0.5)


@dataclass(frozen=True)
class Stack:
    """The started file."""

    environment: Mapping[str, str]
    secrets: Path
    url: str

    def compose(self, *arguments: str, timeout_s: float = 180) -> str:
        return run("docker-compose", *arguments, env=self.environment, timeout_s=timeout_s)

    def docker(self, *arguments: str, timeout_s: float = 60) -> str:
        return run(DOCKER, *arguments, env=self.environment, timeout_s=timeout_s)

    def containers(self) -> list[dict[str, Any]]:
        """Every container of the project, as the engine describes it."""
        label = f"label=com.docker.compose.project={self.environment['COMPOSE_PROJECT_NAME']}"
        names = self.docker("ps", "--all", "--quiet", "--filter", label).split()
        described: list[dict[str, Any]] = json.loads(self.docker("inspect", *names)) if names else []
        return described

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> requests.Response:
        session = requests.Session()
        session.trust_env = False  # a proxy of this machine is not for 127.0.0.1
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return session.request(method, f"{self.url}/{path}", headers=headers, timeout=30, **options)

    def token(self, account: str) -> str:
        password = json.loads((self.secrets / "airflow_passwords").read_text())[account]
        answer = self.call("POST", "auth/token", json={"username": account, "password": password})
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["access_token"])


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Gives the environment of docker and docker-compose: the sandbox's engine, a project of its own."""
    if not shutil.which("docker-compose", path="/usr/bin"):
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "docker-compose"]
        run(*install, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, timeout_s=300)
    sandbox = open_sandbox(progress=Progress(quiet=True))
    with pulling(sandbox) as engine:
        images = recorded(sandbox)
        for name in ("base-python", "toolbox-postgres"):
            pull(engine, images[name])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    name = f"slipwaytest{secrets.token_hex(3)}"
    return {
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": str(tmp_path_factory.mktemp("home")),
        "DOCKER_HOST": os.environ.get("DOCKER_HOST") or f"unix://{STATE}/docker/docker.sock",
        "DOCKER_BUILDKIT": "1",
        "COMPOSE_FILE": "docker-compose.yaml",  # not somebody's override beside it
        "COMPOSE_PROJECT_NAME": name,
        "SLIPWAY_IMAGE": f"slipway/airflow:{name}",
        "SLIPWAY_BASE": images["base-python"],
        "SLIPWAY_POSTGRES_IMAGE": images["toolbox-postgres"],
        "SLIPWAY_PORT": str(port),
        "SLIPWAY_SECRETS": str(tmp_path_factory.mktemp("secrets")),
    }


@pytest.fixture(scope="module")
def image(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Gives the image, built from this checkout; the engine's cache spares what has not changed."""
    began, folder, name = time.monotonic(), tmp_path_factory.mktemp("clients"), environment["SLIPWAY_IMAGE"]
    settings: list[str] = []
    for id_, text in PackageClients.of_this_machine().secrets().items():
        (folder / id_).write_text(text)
        settings += ["--secret", f"id={id_},src={folder / id_}"]
    base = f"BASE={environment['SLIPWAY_BASE']}"
    command = [DOCKER, "build", "--network", "host", "--tag", name, "--build-arg", base, *settings, "."]
    run(*command, env=environment, timeout_s=420)
    print(f"image built in {time.monotonic() - began:.1f} s")
    yield name
    run(DOCKER, "image", "rm", "--no-prune", name, env=environment)  # its layers stay as cache


@pytest.fixture(scope="module")
def stack(environment: dict[str, str], image: str) -> Iterator[Stack]:
    """Gives the started file, once every process is healthy; and takes it down."""
    began, place = time.monotonic(), Path(environment["SLIPWAY_SECRETS"])
    run("sh", "compose/make-secrets.sh", place, env=environment)
    up = Stack(environment, place, f"http://127.0.0.1:{environment['SLIPWAY_PORT']}")

    def ill() -> str | None:
        health = {
            one["Config"]["Labels"]["com.docker.compose.service"]: one["State"]
            .get("Health", {})
            .get("Status")
            for one in up.containers()
        }
        wrong = {name: health.get(name) for name in sorted(PROCESSES) if health.get(name) != "healthy"}
        return str(wrong) if wrong else None

    try:
        up.compose("up", "--detach", "--no-build", timeout_s=HEALTHY_S)
        try:
            wait_until(ill, HEALTHY_S)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{up.compose('logs', '--no-color', '--tail', '40')}") from error
        print(f"healthy {time.monotonic() - began:.1f} s after the start")
        yield up
    finally:
        began = time.monotonic()
        up.compose("down", "--volumes", "--remove-orphans", "--timeout", "4")
        print(f"down in {time.monotonic() - began:.1f} s")


def test_the_image_holds_what_the_stages_call_and_no_root(image: str, environment: dict[str, str]) -> None:
    script = "id -u; docker --version; git --version; airflow version"
    command = [
        "run",
        "--rm",
        "--network",
        "none",
        "--read-only",
        "--tmpfs",
        "/tmp",
        image,
        "sh",
        "-c",
        script,
    ]
    uid, docker, git, airflow = run(DOCKER, *command, env=environment).splitlines()
    assert uid == "10001"
    assert docker.startswith("Docker version 20.10.")  # speaks BuildKit without a plugin
    assert git.startswith("git version 2.")
    assert airflow == "3.3.2"
    described = json.loads(run(DOCKER, "inspect", image, env=environment))[0]["Config"]
    assert described["User"] == "10001"
    assert not described.get("Healthcheck")


def test_no_setting_of_this_machines_package_clients_is_in_the_image(
    image: str, environment: dict[str, str]
) -> None:
    history = run(DOCKER, "history", "--no-trunc", image, env=environment)
    places = "/etc/apt/sources.list /etc/apt/sources.list.d/* /etc/pip.conf /opt/venv/pip.conf"
    left = f"cat {places} 2>/dev/null; ls -A /run/secrets"
    said = run(
        DOCKER, "run", "--rm", "--network", "none", image, "sh", "-c", f"{left} || true", env=environment
    )
    clients = PackageClients.of_this_machine()
    for name, value in clients.pip.items():
        assert value not in history + said, f"pip's {name} is in the image"
    assert said.strip() == "", said


def test_everything_is_healthy_by_airflows_own_account(stack: Stack) -> None:
    answer = stack.call("GET", "api/v2/monitor/health")
    assert answer.status_code == 200
    health = {name: (part or {}).get("status") for name, part in answer.json().items()}
    assert health == dict.fromkeys(("metadatabase", "scheduler", "triggerer", "dag_processor"), "healthy")


def test_exactly_our_dags_are_there_without_import_errors(stack: Stack) -> None:
    token = stack.token("admin")
    files = {path.stem for path in (ROOT / "dags").glob("*.py")}

    def missing() -> str | None:
        found = stack.call("GET", "api/v2/dags", token).json()["dags"]
        return None if len(found) >= len(files) else "not every DAG was parsed yet"

    wait_until(missing, 200)  # one file after the other, beside whatever else runs
    dags = stack.call("GET", "api/v2/dags", token).json()["dags"]
    assert {dag["dag_id"] for dag in dags} == files
    assert {RELEASE, "release_prompt_library", "staging_refresh"} <= files
    assert not any(dag["is_paused"] for dag in dags)
    assert stack.call("GET", "api/v2/importErrors", token).json()["import_errors"] == []
    pools = stack.call("GET", "api/v2/pools", token).json()["pools"]
    assert {"slipway_engine", "slipway_cluster"} <= {pool["name"] for pool in pools}


def test_the_plugin_asks_who_is_there(stack: Stack) -> None:
    assert stack.call("GET", "slipway/releases/ai-generation").status_code == 401
    assert stack.call("GET", "slipway/releases/ai-generation", "no.such.token").status_code in (401, 403)
    answer = stack.call("GET", "slipway/releases/ai-generation", stack.token("viewer"))
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json(), list)


def test_a_release_starts_and_its_log_can_be_read(stack: Stack) -> None:
    """As the hook does it. It gets as far as the example platform goes: recorded; there is no Vault to ask git with."""
    token, run_id = stack.token("hook"), f"ai-generation.{COMMIT[:12]}"
    conf = {"service": "ai-generation", "commit": COMMIT, "ref": "refs/heads/main"}
    body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
    runs = f"api/v2/dags/{RELEASE}/dagRuns"
    assert stack.call("POST", runs, stack.token("viewer"), json=body).status_code == 403
    answer = stack.call("POST", runs, token, json=body)
    assert answer.status_code == 200, answer.text
    assert stack.call("POST", runs, token, json=body).status_code == 409

    def unfinished() -> str | None:
        state = stack.call("GET", f"{runs}/{run_id}/taskInstances/accept", token).json().get("state")
        return None if state in ("up_for_retry", "failed") else f"accept is {state}"

    wait_until(unfinished, 60)
    log = stack.call(
        "GET", f"{runs}/{run_id}/taskInstances/accept/logs/1", token, params={"full_content": "true"}
    )
    assert f"Releasing ai-generation {COMMIT}" in log.text
    recorded = stack.call("GET", f"slipway/releases/ai-generation/{COMMIT}", token).json()
    assert (recorded["run_id"], recorded["environment"]) == (run_id, "staging")


def test_no_secret_is_in_what_the_engine_tells_of_the_containers(stack: Stack) -> None:
    told = json.dumps(stack.containers()) + stack.compose("config") + stack.compose("logs", "--no-color")
    words = [
        file.read_text()
        for file in stack.secrets.iterdir()
        if file.name not in ("airflow_passwords", "connections.yaml")
    ]
    words += json.loads((stack.secrets / "airflow_passwords").read_text()).values()
    words.append(
        yaml.safe_load((stack.secrets / "connections.yaml").read_text())["slipway_ledger"]["password"]
    )
    assert len(words) == 9
    for word in words:
        assert len(word) >= 40
        assert word not in told


def test_every_process_is_confined_and_bounded(stack: Stack) -> None:
    services = {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in stack.containers()}
    assert set(services) == PROCESSES | {"airflow-init"}
    assert services["airflow-init"]["State"]["ExitCode"] == 0
    for name, one in services.items():
        host = one["HostConfig"]
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert "no-new-privileges" in host["SecurityOpt"], name
        assert host["Memory"] > 0, name
        assert host["NanoCpus"] > 0, name
        assert host["PidsLimit"] > 0, name
        assert host["RestartPolicy"]["Name"] == ("no" if name == "airflow-init" else "unless-stopped"), name
        mounted = {mount["Destination"] for mount in one["Mounts"]}
        assert ("/run/secrets/postgres_password" in mounted) == (name in ("postgres", "airflow-init")), name
        assert all(not mount["RW"] for mount in one["Mounts"] if mount["Type"] == "bind"), name
        published = [place for places in (host["PortBindings"] or {}).values() for place in places]
        assert [place["HostIp"] for place in published] == (["127.0.0.1"] if name == "api-server" else []), (
            name
        )


def test_secrets_are_made_once_and_for_the_containers_user_alone(
    stack: Stack, environment: dict[str, str]
) -> None:
    before = {file.name: file.read_text() for file in stack.secrets.iterdir()}
    run("sh", "compose/make-secrets.sh", stack.secrets, env=environment)
    assert {file.name: file.read_text() for file in stack.secrets.iterdir()} == before
    assert len({*before.values()}) == 7
    assert stack.secrets.stat().st_mode & 0o777 == 0o700


def test_the_example_platform_file_is_valid() -> None:
    platform = load_platform(ROOT / "compose/platform/platform.yaml")
    sandbox_images = {
        folder.name
        for folder in (ROOT / "toolboxes").iterdir()
        if (folder / "Dockerfile").is_file()
        and not folder.name.startswith("library-")  # what Dockerfiles name: base_images
    }
    # no release names what the others stand on, nor what runs beside the engine for all of them
    assert set(platform.images) == sandbox_images - {"base-debian", "package-proxy"}


def test_after_down_nothing_is_left(stack: Stack) -> None:
    stack.compose("down", "--volumes", "--timeout", "4")
    assert stack.containers() == []
    label = f"label=com.docker.compose.project={stack.environment['COMPOSE_PROJECT_NAME']}"
    for kind in ("volume", "network"):
        assert stack.docker(kind, "ls", "--quiet", "--filter", label) == ""
