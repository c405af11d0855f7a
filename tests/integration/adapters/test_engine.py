"""The engine: what is shared is made once, what pushed code runs in holds, and reports are taken with care."""

from __future__ import annotations

import io
import json
import os
import secrets
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import docker
import pytest
from docker.types import Mount

from slipway.adapters import engine as adapter
from slipway.adapters.registry import Registry
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway_sandbox.local_http import session
from slipway_sandbox.part import Sandbox

ABROAD = "198.51.100.1"  # RFC 5737: nobody has it
LABELS = {"slipway": "test"}
TRIED = """
import socket, sys, json, time
def tried(host, port):
    try:
        socket.create_connection((host, int(port)), timeout=2).close()
        return "connected"
    except OSError as e:
        return f"{type(e).__name__} {e.errno}"
"""


@pytest.fixture(scope="session")
def python(engine: Any, images: dict[str, str], account: Callable[[str], tuple[str, str]]) -> str:
    """Gives the runtime base, pulled to the engine as a release does."""
    adapter.ensure_image(engine, images["base-python"], *account("pull"))
    adapter.ensure_image(engine, images["base-python"], *account("pull"))
    return images["base-python"]


@pytest.fixture(scope="session")
def toolbox(engine: Any, images: dict[str, str], account: Callable[[str], tuple[str, str]]) -> str:
    """Gives a toolbox: it has an /out that the unprivileged user may write to."""
    adapter.ensure_image(engine, images["toolbox-python"], *account("pull"))
    return images["toolbox-python"]


WRITTEN = 1_700_000_000


def tar_of(files: Mapping[str, bytes | str], folders: bool = False) -> IO[bytes]:
    """Give a tar of files, and of links (whose content is text); with ``folders`` as git writes it."""
    packed = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in sorted({str(one) for name in files for one in Path(name).parents} - {"."}) * folders:
            info = tarfile.TarInfo(folder)
            info.type, info.mtime, info.mode = tarfile.DIRTYPE, WRITTEN, 0o775
            tar.addfile(info)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mtime, info.mode = WRITTEN, 0o775 if name.endswith(".sh") else 0o664
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    packed.seek(0)
    return packed


def script(
    engine: Any, name: str, image: str, code: str, *arguments: str, network_mode: str = "none", **options: Any
) -> tuple[int, str]:
    """Run Python in a bounded container to its end; give exit code and output."""
    command = ["python3", "-c", code, *arguments]
    adapter.start(engine, name, image, network_mode=network_mode, command=command, **options)
    code_ = adapter.wait_exit(engine, name, 30)
    return code_, engine.logs(name).decode()


def test_volume_is_filled_once_and_marked_complete_last(engine: Any, unique: str, python: str) -> None:
    assert adapter.fill_volume(engine, python, unique, "/workspace", tar_of({"src/a.txt": b"first"}))
    assert adapter.has_file(engine, python, unique, "/workspace", ".complete")
    assert not adapter.fill_volume(engine, python, unique, "/workspace", tar_of({"src/a.txt": b"second"}))
    mounts = [Mount("/workspace", unique, type="volume", read_only=True)]
    read = "print(open('/workspace/src/a.txt').read())"
    assert script(engine, f"{unique}-read", python, read, mounts=mounts) == (0, "first\n")


def test_volume_without_its_mark_is_filled_again(engine: Any, unique: str, python: str) -> None:
    """As a worker leaves it that died while filling it."""
    broken = tar_of({"src/a.txt": b"whole" * 1000}).read()[:1_500]
    with pytest.raises((Permanent, Transient)):
        adapter.fill_volume(engine, python, unique, "/workspace", io.BytesIO(broken))
    assert not adapter.has_file(engine, python, unique, "/workspace", ".complete")
    assert adapter.fill_volume(engine, python, unique, "/workspace", tar_of({"src/a.txt": b"whole"}))


def test_prepared_volume_is_writable_for_the_unprivileged_user(engine: Any, unique: str, python: str) -> None:
    for _ in range(2):
        adapter.prepare_volume(engine, python, unique, "/deps", LABELS)
    write = "import os; open('/deps/a', 'w').write('x'); print(os.stat('/deps/a').st_uid)"
    mounts = [Mount("/deps", unique, type="volume")]
    assert script(engine, f"{unique}-write", python, write, mounts=mounts) == (0, f"{adapter.UID}\n")


def test_network_has_no_way_out_but_its_containers_see_each_other(
    engine: Any, unique: str, python: str, sandbox: Sandbox
) -> None:
    for _ in range(2):
        adapter.network(engine, unique, LABELS)
    assert len(engine.networks(names=[f"^{unique}$"])) == 1
    server = ["python3", "-m", "http.server", "8000", "--directory", "/usr/share"]
    adapter.start(
        engine, f"{unique}-server", python, network_mode=unique, command=server, aliases=["database"]
    )
    probe = [
        "python3",
        "-c",
        "import socket; socket.create_connection(('127.0.0.1', 8000), timeout=1).close()",
    ]
    adapter.wait_until(engine, f"{unique}-server", probe, 20)
    code = f"{TRIED}\nprint(json.dumps([tried(*one.split(':')) for one in sys.argv[1:]]))"
    targets = ["database:8000", sandbox.registry, "10.200.0.1:6443", f"{ABROAD}:80"]
    _, said = script(engine, f"{unique}-client", python, code, *targets, network_mode=unique)
    seen, registry, api, abroad = json.loads(said)
    assert seen == "connected"
    assert "connected" not in (registry, api, abroad), (registry, api, abroad)
    adapter.remove_network(engine, unique)  # with both containers still on it, or ended
    adapter.remove_network(engine, unique)
    assert not engine.networks(names=[f"^{unique}$"])


INSIDE = """
import json, os, errno, ctypes, threading
def tried(call, *a):
    try:
        call(*a)
        return "allowed"
    except OSError as e:
        return errno.errorcode[e.errno]
status = dict(line.rstrip().split(":\\t", 1) for line in open("/proc/self/status") if ":\\t" in line)
libc = ctypes.CDLL(None, use_errno=True)
found = {
    "uid": os.getuid(),
    "capabilities": [int(status[k], 16) for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"],
    "etc": tried(open, "/etc/x", "w"), "usr": tried(open, "/usr/bin/x", "w"), "home": tried(os.mkdir, "/app-x"),
    "chown": tried(os.chown, "/tmp", 0, 0), "setuid": tried(os.setuid, 0),
    "mount": "allowed" if libc.mount(b"none", b"/tmp", b"tmpfs", 0, None) == 0
             else errno.errorcode[ctypes.get_errno()],
    "interfaces": sorted(os.listdir("/sys/class/net")),
}
threading.stack_size(65536)
started, stop = 0, threading.Event()
try:
    for _ in range(600):
        threading.Thread(target=stop.wait, daemon=True).start()
        started += 1
except RuntimeError:
    pass
found["threads"] = started
print(json.dumps(found), flush=True)
os._exit(0)
"""


def test_bounds_hold_inside_the_container(engine: Any, unique: str, python: str) -> None:
    code, said = script(engine, unique, python, INSIDE)
    assert code == 0, said
    found = json.loads(said)
    assert found["uid"] == adapter.UID
    assert found["capabilities"] == [0] * 5
    assert found["no_new_privileges"] == "1"
    assert {found[k] for k in ("etc", "usr", "home")} == {"EROFS"}
    assert found["setuid"] == "EPERM"
    assert found["chown"] in ("EPERM", "EROFS")
    assert found["mount"] == "EPERM"
    assert found["interfaces"] == ["lo"]
    assert 400 < found["threads"] < 512  # each counts as a process


def test_memory_bound_kills(engine: Any, unique: str, python: str) -> None:
    code, _ = script(engine, unique, python, "x = bytearray(400 << 20); print(len(x))", memory="48m")
    assert code == 137


def test_older_container_of_the_same_name_is_replaced_and_removal_can_be_repeated(
    engine: Any, unique: str, python: str
) -> None:
    for text in ("one", "two"):
        assert script(engine, unique, python, f"print('{text}')") == (0, f"{text}\n")
    for _ in range(2):
        adapter.remove_container(engine, unique)
    assert not engine.containers(all=True, filters={"name": unique})


def test_wait_ends_a_container_that_does_not(engine: Any, unique: str, python: str) -> None:
    adapter.start(engine, unique, python, network_mode="none", command=["sleep", "300"])
    began = time.monotonic()
    assert adapter.wait_exit(engine, unique, 1) == 124
    assert time.monotonic() - began < 10
    assert engine.wait(unique, timeout=10)["StatusCode"] == 137


def test_exit_code_is_the_containers_own(engine: Any, unique: str, python: str) -> None:
    assert script(engine, unique, python, "raise SystemExit(3)")[0] == 3


@pytest.mark.parametrize(
    ("command", "probe", "says"),
    [
        (["python3", "-c", "raise SystemExit('no data folder')"], ["false"], "ended by itself"),
        (
            ["sh", "-c", "echo no data folder; exec sleep 60"],
            ["sh", "-c", "echo refused; false"],
            "not ready after 1 s: refused",
        ),
    ],
    ids=["it ends", "it is never ready"],
)
def test_readiness_that_does_not_come_is_told_with_the_last_lines(
    engine: Any, unique: str, python: str, command: Sequence[str], probe: Sequence[str], says: str
) -> None:
    adapter.start(engine, unique, python, network_mode="none", command=command)
    with pytest.raises(PolicyFailed, match=says) as caught:
        adapter.wait_until(engine, unique, probe, 1)
    assert "no data folder" in str(caught.value)


REPORTED = """
import os
os.chdir("/out")
open("junit.xml", "w").write("<ok/>")
open("big.sarif", "wb").write(b"x" * (2_000_000 + 1))
os.mkdir("nested"); open("nested/inner.json", "w").write("{}")
os.symlink("/etc/passwd", "link.json"); os.link("junit.xml", "hard.xml"); os.mkfifo("fifo.json")
"""


def test_reports_are_regular_files_of_the_folder_itself_within_the_bound(
    engine: Any, unique: str, toolbox: str
) -> None:
    scratch = [Mount("/out", None, type="volume")]
    assert script(engine, unique, toolbox, REPORTED, mounts=scratch)[0] == 0
    found = adapter.reports(engine, unique)
    # of two hard links either may be the one that the archive holds as a file
    assert set(found) in ({"junit.xml"}, {"hard.xml"})
    assert set(found.values()) == {b"<ok/>"}


def test_reports_together_stay_within_their_bound(engine: Any, unique: str, toolbox: str) -> None:
    write = "for i in range(6): open(f'/out/{i}.json', 'wb').write(b'x' * 1_900_000)"
    script(engine, unique, toolbox, write, mounts=[Mount("/out", None, type="volume")])
    found = adapter.reports(engine, unique)
    assert found
    assert sum(map(len, found.values())) <= adapter.REPORTS_LIMIT


def test_flood_of_reports_is_refused(engine: Any, unique: str, toolbox: str) -> None:
    write = "open('/out/x', 'wb').truncate(40_000_000)"
    script(engine, unique, toolbox, write, mounts=[Mount("/out", None, type="volume")])
    with pytest.raises(PolicyFailed, match="exceed 32000000 bytes"):
        adapter.reports(engine, unique)


Build = Callable[..., list[str]]


@pytest.fixture
def build(
    sandbox: Sandbox,
    unique: str,
    python: str,
    account: Callable[[str], tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> Build:
    """Builds `unique:1` of a Dockerfile's text; gives the lines that were logged."""
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # Debian's client, as the workers have it

    def run(
        dockerfile: str,
        tag: str = f"{unique}:1",
        url: str = sandbox.docker_host,
        files: Mapping[str, bytes | str] | None = None,
        path: str = "Dockerfile",
    ) -> list[str]:
        said: list[str] = []
        user, password = account("pull")
        text = f"ARG BASE\nFROM ${{BASE}}\n{dockerfile}".encode()
        built = adapter.build(
            url,
            tar_of({path: text, **(files or {})}, folders=True),
            tag=tag,
            dockerfile=path,
            arguments={"BASE": python},
            labels=LABELS,
            registry=sandbox.registry,
            username=user,
            password=password,
            timeout_s=60,
            log=said.append,
        )
        assert built.startswith("sha256:")
        return said

    return run


def test_what_was_built_is_pushed_though_another_build_took_the_tag(
    engine: Any, unique: str, sandbox: Sandbox, build: Build
) -> None:
    build("LABEL which=mine\n")
    mine = engine.inspect_image(f"{unique}:1")["Id"]
    build("LABEL which=other\n")
    assert engine.inspect_image(f"{unique}:1")["Id"] != mine
    adapter.tag(engine, mine, unique, "1")
    assert engine.inspect_image(f"{unique}:1")["Config"]["Labels"]["which"] == "mine"


def test_failing_build_names_the_failing_line(build: Build) -> None:
    with pytest.raises(PolicyFailed) as caught:
        build("RUN echo looked-for-something && exit 7\n")
    assert "echo looked-for-something && exit 7" in caught.value.message
    assert "looked-for-something" in "\n".join(caught.value.lines)


@pytest.mark.parametrize(
    "words",
    [
        "rpc error: code = Unavailable desc = error reading from server: EOF",
        "dial tcp 10.0.0.1:5000: i/o timeout",
        "unexpected EOF",
    ],
)
def test_failing_step_is_the_dockerfiles_fault_whatever_it_prints(build: Build, words: str) -> None:
    with pytest.raises(PolicyFailed, match="does not build"):
        build(f"RUN echo '{words}'; exit 1\n")
    with pytest.raises(PolicyFailed, match="does not build"):
        build(f"RUN echo '{words}'\nCOPY nothing-here /\n")


TREE: dict[str, bytes | str] = {
    name: name.encode()
    for name in (
        "README.md",
        "key.pem",
        "src/app.py",
        "src/app.sh",
        "src/deep/key.pem",
        "src/deep/README.md",
        "tests/test_app.py",
        "tests/data/keep.txt",
        "with space.txt",
        "#odd",
    )
} | {"link.txt": "src/app.py", "src/up": "../README.md"}
ALL = {*TREE, ".dockerignore", "Dockerfile"}


def show() -> str:
    """Give instructions that tell what of the context came, each time anew."""
    tell = r"find . ! -type d -printf '%P|%m|%T@|%l\n'"
    return f"COPY . /context\nRUN cd /context && : {secrets.token_hex(4)} && {tell} | sort\n"


def shown(said: Sequence[str]) -> dict[str, tuple[str, str, str]]:
    """Give what show() found: mode, time and the link's target of each file."""
    rows = [line.partition(" ")[2].partition(" ")[2].split("|") for line in said if line.count("|") == 3]
    return {name: (mode, written.partition(".")[0], to) for name, mode, written, to in rows}


@pytest.mark.parametrize(
    ("ignored", "left_out"),
    [
        (b"", set()),
        (b"tests\n", {"tests/test_app.py", "tests/data/keep.txt"}),
        (b"/tests/\n", {"tests/test_app.py", "tests/data/keep.txt"}),
        (b"*.pem\n", {"key.pem"}),
        (b"**/*.pem\n", {"key.pem", "src/deep/key.pem"}),
        (b"tests\n!tests/data\n", {"tests/test_app.py"}),
        (b"!tests/data\ntests\n", {"tests/test_app.py", "tests/data/keep.txt"}),
        (b"\xef\xbb\xbftests\r\n*.pem  \r\n", {"tests/test_app.py", "tests/data/keep.txt", "key.pem"}),
        (b"# tests\n  README.md\n", {"README.md"}),
        (b"\\#odd\nwith space.txt\n", {"#odd", "with space.txt"}),
        (b"*\n!src\nsrc/deep\n", ALL - {"src/app.py", "src/app.sh", "src/up"}),
        (b"src/?pp.[ps]y\nlink.txt\n", {"src/app.py", "link.txt"}),
        (b"Dockerfile\n.dockerignore\n", {"Dockerfile", ".dockerignore"}),
    ],
    ids=lambda value: value.decode(errors="replace") if isinstance(value, bytes) else "",
)
def test_dockerignore_is_heeded_as_in_a_build_of_a_folder(
    build: Build, ignored: bytes, left_out: set[str]
) -> None:
    assert set(shown(build(show(), files={**TREE, ".dockerignore": ignored}))) == ALL - left_out


def test_dockerignore_of_the_dockerfile_itself_comes_first(build: Build) -> None:
    files = {**TREE, ".dockerignore": b"src\n", "docker/api.Dockerfile.dockerignore": b"tests\ndocker\n"}
    found = set(shown(build(show(), files=files, path="docker/api.Dockerfile")))
    assert found == {*TREE, ".dockerignore"} - {"tests/test_app.py", "tests/data/keep.txt"}


def test_dockerignore_that_is_a_link_is_heeded_as_by_hand(
    build: Build, sandbox: Sandbox, python: str, unique: str, tmp_path: Path
) -> None:
    files = {**TREE, "ignored.txt": b"tests\n", ".dockerignore": "ignored.txt"}
    found = set(shown(build(show(), files=files)))
    with tarfile.open(fileobj=tar_of(files, folders=True)) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "Dockerfile").write_text(f"FROM {python}\n{show()}")
    argv = [
        "docker",
        "build",
        "--progress",
        "plain",
        "--network",
        "none",
        "--tag",
        f"{unique}:1",
        str(tmp_path),
    ]
    environment = {**os.environ, "DOCKER_HOST": sandbox.docker_host, "DOCKER_BUILDKIT": "1"}
    said = subprocess.run(argv, env=environment, check=True, capture_output=True, text=True).stderr
    assert set(shown(said.splitlines())) == found
    assert "src/app.py" in found


def test_files_are_as_git_knows_them_whatever_the_workers_umask(build: Build) -> None:
    before = os.umask(0o077)
    try:
        found = shown(build(show(), files=TREE))
    finally:
        os.umask(before)
    time = str(WRITTEN)
    assert found["src/app.py"] == ("644", time, "")
    assert found["src/app.sh"] == ("755", time, "")
    assert found["src/up"] == ("777", time, "../README.md")


@pytest.mark.parametrize("ignored", [b"[\n", b"!\n", b"x" * 70_000 + b"\n"], ids=["class", "nothing", "long"])
def test_dockerignore_that_cannot_be_read_is_the_services_fault(build: Build, ignored: bytes) -> None:
    with pytest.raises(PolicyFailed, match="the image does not build"):
        build(show(), files={**TREE, ".dockerignore": ignored})


def test_dockerignore_of_many_patterns_takes_no_long_time(build: Build) -> None:
    patterns = b"".join(b"**/a*a*a*a*a*%d*b\n" % n for n in range(2_000))
    assert set(shown(build(show(), files={**TREE, "a" * 200: b"", ".dockerignore": patterns}))) >= ALL


def test_what_a_failing_step_prints_does_not_make_it_the_engines_fault(build: Build) -> None:
    said = r"dial tcp: i/o timeout\r#3 ERROR: rpc error: code = Unavailable\nunexpected EOF"
    with pytest.raises(PolicyFailed, match=r"the image does not build: RUN printf .*exit code: 7"):
        build(f"RUN printf '{said}' && exit 7\n")


def test_base_that_the_registry_does_not_have_is_the_platforms_fault(build: Build, python: str) -> None:
    gone = python.partition("@")[0] + f"@sha256:{'0' * 64}"
    with pytest.raises(Transient, match="the image could not be built"):
        build(f"FROM {gone}\n")


def test_build_has_no_network(build: Build) -> None:
    with pytest.raises(PolicyFailed) as caught:
        build(
            f"RUN python3 -c \"import socket; socket.create_connection(('{ABROAD}', 80), timeout=3)\" 2>&1\n"
        )
    assert "Network is unreachable" in "\n".join(caught.value.lines)


def test_dead_engine_is_transient(build: Build, python: str, tmp_path: Path) -> None:
    with pytest.raises(
        Transient, match=r"^Docker engine: building \S+: it went away, or has no room: (?i:.*cannot connect)"
    ) as caught:
        build("", url=f"unix://{tmp_path}/nobody.sock")
    assert "docker info" in caught.value.remedy
    client = docker.APIClient(base_url=f"unix://{tmp_path}/nobody.sock", version="1.41", timeout=5)
    with pytest.raises(Transient, match="docker info"):
        adapter.remove_container(client, "x")
    with pytest.raises(Transient):
        adapter.image_exists(client, python)


def test_what_the_engine_refuses_is_permanent(engine: Any, unique: str, python: str) -> None:
    with pytest.raises(Permanent):
        adapter.start(engine, unique, python, network_mode="none", command=["x"], memory="1b")


def test_pushed_digest_is_the_registrys_own(
    engine: Any, unique: str, sandbox: Sandbox, build: Build, account: Callable[[str], tuple[str, str]]
) -> None:
    repository, tag = f"{sandbox.registry}/slipway/test-adapters", unique
    said = build(f"LABEL unique={unique}\n", tag=f"{repository}:{tag}")
    assert said
    assert adapter.image_exists(engine, f"{repository}:{tag}")
    registry = Registry(sandbox.registry, *account("pull"), sandbox.registry_ca)
    assert registry.digest("slipway/test-adapters", tag) is None
    for login in (account("pull"), ("push", "wrong")):
        with pytest.raises(Permanent, match=tag):
            adapter.push(engine, repository, tag, *login)
    digest = adapter.push(engine, repository, tag, *account("push"))
    try:
        assert adapter.push(engine, repository, tag, *account("push")) == digest
        assert registry.digest("slipway/test-adapters", tag) == digest
        image = registry.image("slipway/test-adapters", tag)
        assert image is not None
        assert (image.is_single, image.digest, image.labels["unique"]) == (True, digest, unique)
        assert image.runs_on("linux/amd64")
    finally:
        url = f"https://{sandbox.registry}/v2/slipway/test-adapters/manifests/{digest}"
        session(str(sandbox.registry_ca)).delete(url, auth=account("push"), timeout=20).raise_for_status()
    assert registry.digest("slipway/test-adapters", tag) is None


def test_image_of_a_folder_holds_its_files_and_is_made_once(engine: Any, unique: str, python: str) -> None:
    adapter.fill_volume(engine, python, unique, "/deps", tar_of({"wheels/a.whl": b"w"}))
    refs = {
        adapter.image_of_folder(engine, python, unique, "/deps", "wheels", unique, "wheels") for _ in range(2)
    }
    assert refs == {f"{unique}:wheels"}
    saved = io.BytesIO(b"".join(engine.get_image(f"{unique}:wheels")))
    with tarfile.open(fileobj=saved) as image:
        (layer,) = [one for one in image.getnames() if one.endswith("layer.tar")]
        packed = image.extractfile(layer)
        assert packed is not None
        with tarfile.open(fileobj=packed) as files:
            assert [one.name for one in files if one.isreg()] == ["wheels/a.whl"]


def named(things: Sequence[adapter.Stored], name: str) -> list[adapter.Stored]:
    return [one for one in things if one.name.startswith(name)]


def test_what_is_stored_is_listed_with_age_and_size_and_removed_once(
    engine: Any, unique: str, python: str
) -> None:
    adapter.fill_volume(engine, python, f"{unique}-a", "/deps", tar_of({"wheels/a.whl": b"w" * 100_000}))
    adapter.image_of_folder(engine, python, f"{unique}-a", "/deps", "wheels", f"{unique}-b", "wheels")
    volume, image = named(adapter.stored(engine), unique)
    assert (volume.kind, volume.name, image.kind, image.name) == (
        "volume",
        f"{unique}-a",
        "image",
        f"{unique}-b:wheels",
    )
    for one in (volume, image):
        assert one.bytes >= 100_000
        assert abs((datetime.now(UTC) - one.created).total_seconds()) < 60
        assert adapter.remove(engine, one)
        assert not adapter.remove(engine, one)
    assert named(adapter.stored(engine), unique) == []
    (base, *_) = [one for one in adapter.stored(engine) if python in one.digests]
    assert base.kind == "image"


def test_volume_in_use_stays(engine: Any, unique: str, python: str) -> None:
    adapter.fill_volume(engine, python, unique, "/deps", tar_of({}))
    made = adapter.Stored("volume", unique, datetime.now(UTC))
    mounts = [Mount("/deps", unique, type="volume")]
    adapter.start(engine, unique, python, network_mode="none", command=["sleep", "60"], mounts=mounts)
    assert not adapter.remove(engine, made)
    adapter.remove_container(engine, unique)
    assert adapter.remove(engine, made)


def test_what_runs_made_is_listed_with_its_run_and_removed(engine: Any, unique: str, python: str) -> None:
    labels = {"slipway": "sidecar", "slipway.run": "svc.0123456789ab"}
    adapter.network(engine, unique, labels)
    adapter.start(
        engine, f"{unique}-database", python, network_mode=unique, command=["sleep", "60"], labels=labels
    )
    adapter.start(engine, f"{unique}-stranger", python, network_mode="none", command=["sleep", "60"])
    found = named(adapter.of_runs(engine), unique)
    assert [(one.kind, one.name, one.run) for one in found] == [
        ("container", f"{unique}-database", "svc.0123456789ab"),
        ("network", unique, "svc.0123456789ab"),
    ]
    for one in found:
        assert abs((datetime.now(UTC) - one.created).total_seconds()) < 60
        assert adapter.remove(engine, one)
    assert named(adapter.of_runs(engine), unique) == []


def test_layers_of_builds_that_were_used_lately_stay(engine: Any) -> None:
    assert adapter.prune_builds(engine, 3_650) == (0, 0)
