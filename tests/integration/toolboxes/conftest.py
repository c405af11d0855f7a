"""Gate scripts in real containers of the running sandbox's images, hardened as the pipeline hardens them."""

import io
import os
import subprocess
import tarfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest
from typing_extensions import override

from slipway_sandbox import package_index
from slipway_sandbox.engine import DOCKER
from slipway_sandbox.images import pull, pulling, recorded
from slipway_sandbox.lifecycle import Progress, open_sandbox
from slipway_sandbox.part import Sandbox

EXAMPLE = Path(__file__).parents[3] / "examples/ai-generation"
HARDENED = (
    "--read-only",
    "--user",
    "10001",
    "--cap-drop",
    "ALL",
    "--security-opt",
    "no-new-privileges",
    "--pids-limit",
    "512",
    "--tmpfs",
    "/tmp:size=512m,mode=1777",
    "-e",
    "HOME=/tmp",
    "-e",
    "PYTHONDONTWRITEBYTECODE=1",
)


class Link(str):
    """The content of a file that is a link: what it leads to."""


@dataclass(frozen=True)
class Ended:
    """A container that ended: its exit code, what it said, and the files it left in /out."""

    code: int
    said: str
    reports: Mapping[str, bytes]


class Images(dict[str, str]):
    """The sandbox's images by name; one that is asked for, the engine has."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(recorded(sandbox))
        self.sandbox = sandbox
        self.there: set[str] = set()

    @override
    def __getitem__(self, name: str) -> str:
        reference = super().__getitem__(name)
        if reference not in self.there:
            with pulling(self.sandbox) as engine:
                pull(engine, reference)
            self.there.add(reference)
        return reference


class Engine:
    """The sandbox's engine and images; what is made here has a name of its own and is removed at the end."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.docker_host, self.images = sandbox, sandbox.docker_host, Images(sandbox)
        self.volumes: list[str] = []
        self.containers: list[str] = []

    def docker(
        self, *arguments: str, stdin: bytes | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        environment = {**os.environ, "DOCKER_HOST": self.docker_host}
        done = subprocess.run(
            [DOCKER, *arguments], input=stdin, env=environment, capture_output=True, timeout=280
        )
        if check and done.returncode:
            pytest.fail(f"docker {' '.join(arguments[:2])}: {done.stderr.decode()[-2000:]}")
        return done

    def volume(self, files: Mapping[str, str | bytes] | None = None, owner: int = 0) -> str:
        name = f"slipway-test-{uuid.uuid4().hex[:12]}"
        self.docker("volume", "create", name)
        self.volumes.append(name)
        if files is not None:
            holder = (
                self.docker("create", "-v", f"{name}:/volume", self.images["base-debian"], "true")
                .stdout.decode()
                .strip()
            )
            self.docker("cp", "-", f"{holder}:/volume", stdin=_tar(files, owner))
            self.docker("rm", "-f", holder)
        return name

    def start(self, image: str, *options: str, command: Sequence[str] = (), network: str = "none") -> str:
        """Starts a hardened container in the background and gives its name."""
        name = f"slipway-test-{uuid.uuid4().hex[:12]}"
        self.containers.append(name)
        self.docker(
            "run",
            "-d",
            "--name",
            name,
            "--network",
            network,
            *HARDENED,
            *options,
            self.images[image],
            *command,
        )
        return name

    def run(
        self,
        image: str,
        *command: str,
        source: str | None = None,
        deps: str | None = None,
        deps_mode: str = "ro",
        options: Sequence[str] = (),
        network: str = "none",
    ) -> Ended:
        """Runs a hardened container to its end."""
        mounts = ["-v", "/out"]
        mounts += ["-v", f"{source}:/workspace:ro", "-w", "/workspace/src"] if source else []
        mounts += ["-v", f"{deps}:/deps:{deps_mode}"] if deps else []
        name = f"slipway-test-{uuid.uuid4().hex[:12]}"
        arguments = [
            "--name",
            name,
            "--network",
            network,
            *HARDENED,
            *mounts,
            *options,
            self.images[image],
            *command,
        ]
        done = self.docker("run", *arguments, check=False)
        copied = self.docker("cp", f"{name}:/out/.", "-", check=False)
        self.docker("rm", "-f", "-v", name)
        return Ended(done.returncode, (done.stdout + done.stderr).decode(), _untar(copied.stdout))

    def copied(self, container: str, path: str) -> bytes:
        """Give a file of a container, also of one that ended."""
        (content,) = _untar(self.docker("cp", f"{container}:{path}", "-").stdout).values()
        return content

    def layers(self, image: str) -> Iterator[tuple[str, bytes]]:
        """Give the files of an image's layers, those that are large elsewhere than in etc/ and certificates left out.

        They are read as the engine sends them: the images together are larger than many a disk has left.
        """
        environment = {**os.environ, "DOCKER_HOST": self.docker_host}
        # what it complains of is shown by pytest, also where nothing came that could be read
        with subprocess.Popen(
            [DOCKER, "save", self.images[image]], stdout=subprocess.PIPE, env=environment
        ) as saved:
            with tarfile.open(fileobj=saved.stdout, mode="r|") as archive:
                for layer in archive:
                    if layer.name.endswith("layer.tar"):
                        yield from _looked_at(archive.extractfile(layer))
            saved.stdout.read()
            assert saved.wait() == 0

    def clean(self) -> None:
        if self.containers:
            self.docker("rm", "-f", "-v", *self.containers, check=False)
        if self.volumes:
            self.docker("volume", "rm", "-f", *self.volumes, check=False)


def _tar(files: Mapping[str, str | bytes], owner: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            entry, data = tarfile.TarInfo(name), content.encode() if isinstance(content, str) else content
            entry.mode, entry.uid, entry.gid = 0o644, owner, owner
            if isinstance(content, Link):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
            else:
                entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def _looked_at(layer: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(fileobj=layer, mode="r|") as files:
        for file in files:
            is_small = file.size < 2_000_000 or file.name.startswith("etc/")
            if file.isfile() and is_small and not file.name.startswith("etc/ssl/certs/ca-"):
                yield file.name, files.extractfile(file).read()


def _untar(packed: bytes) -> dict[str, bytes]:
    if not packed:
        return {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        return {
            member.name.removeprefix("./"): archive.extractfile(member).read()
            for member in archive
            if member.isfile()
        }


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    sandbox = open_sandbox(progress=Progress(quiet=True))
    kept = sandbox.layout.state / "images.json"
    if not kept.is_file():
        pytest.fail(f"{kept} is missing: the sandbox has no images. Run `make up`")
    made = Engine(sandbox)
    yield made
    made.clean()


@pytest.fixture(scope="session")
def index() -> list[str]:
    """Options of a container that fetches from this machine's package index."""
    sandbox = open_sandbox(progress=Progress(quiet=True))
    volume = package_index.index_ca_volume(sandbox.docker_host)
    options = ["-v", f"{volume}:{package_index.INDEX_MOUNT}:ro"] if volume else []
    return options + [
        part
        for name, value in package_index.index_environment().items()
        for part in ("-e", f"{name}={value}")
    ]


@pytest.fixture(scope="session")
def deps(engine: Engine, index: list[str]) -> str:
    """The example's dependencies, fetched by the step that fetches them."""
    locks = {
        f"src/{name}": (EXAMPLE / name).read_text() for name in ("requirements.txt", "requirements-dev.txt")
    }
    volume = engine.volume()
    fetched = engine.run(
        "toolbox-python",
        "/opt/slipway/bin/fetch-dependencies",
        "requirements.txt",
        "requirements-dev.txt",
        source=engine.volume(locks),
        deps=volume,
        deps_mode="rw",
        options=index,
        network="host",
    )
    assert fetched.code == 0, fetched.said
    return volume


@pytest.fixture
def source(engine: Engine) -> Callable[..., str]:
    """A volume with a small sound service, and what a test plants into it."""

    def make(planted: Mapping[str, str | bytes] | None = None) -> str:
        return engine.volume(
            {f"src/{name}": text for name, text in {**SOUND, **(planted or {})}.items() if text}
        )

    return make


SOUND = {
    "src/sound/__init__.py": '"""A sound service."""\n',
    "src/sound/sums.py": 'def add(a: int, b: int) -> int:\n    """Their sum."""\n    return a + b\n',
    "tests/unit/test_sums.py": (
        "from sound.sums import add\n\n\ndef test_add() -> None:\n    assert add(1, 2) == 3\n"
    ),
    "tests/integration/test_nothing.py": "def test_nothing() -> None:\n    assert True\n",
    "requirements.txt": f"requests==2.99.0 \\\n    --hash=sha256:{'a' * 64}\n",
    "Dockerfile": 'ARG BASE_PYTHON\nFROM ${BASE_PYTHON}\nCOPY src /app\nUSER 10001\nCMD ["python3"]\n',
}
