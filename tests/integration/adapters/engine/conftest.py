"""What the tests of the engine share: images, tars, and programs that run in containers."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any

import pytest

from slipway.adapters import engine as adapter
from slipway.adapters.registry import Registry
from slipway.catalog.platform import Packages, load_platform
from slipway_sandbox.part import Part, Sandbox

LABELS = {"slipway": "test"}

Build = Callable[..., tuple[adapter.Made, list[str]]]

WRITTEN = 1_600_000_000


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


def _tar_of(files: Mapping[str, bytes | str], folders: bool = False) -> IO[bytes]:
    """Give a tar of files, and of links (whose content is text); with ``folders`` as git writes it."""
    packed = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for folder in (
            sorted({str(one) for name in files for one in PurePosixPath(name).parents} - {"."}) * folders
        ):
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


def _script(
    engine: Any, name: str, image: str, code: str, *arguments: str, network_mode: str = "none", **options: Any
) -> tuple[int, str]:
    """Run Python in a bounded container to its end; give exit code and output."""
    command = ["python3", "-c", code, *arguments]
    adapter.start(engine, name, image, network_mode=network_mode, command=command, **options)
    code_ = adapter.wait_exit(engine, name, 30)
    return code_, engine.logs(name).decode()


@pytest.fixture(scope="session")
def packages(sandbox: Sandbox, parts: dict[str, Part]) -> Packages:
    """Gives what the platform file says of the proxies."""
    found = load_platform(sandbox.layout.platform_file).packages
    assert found is not None
    return found


@pytest.fixture(scope="session")
def asked(sandbox: Sandbox, account: Callable[[str], tuple[str, str]]) -> Registry:
    """Gives the registry, as somebody who may pull."""
    return Registry(sandbox.registry, *account("pull"), sandbox.registry_ca)


@pytest.fixture
def place(
    engine: Any,
    unique: str,
    images: dict[str, str],
    packages: Packages,
    account: Callable[[str], tuple[str, str]],
) -> Iterator[adapter.Place]:
    """Gives where a test builds. What its builder keeps is kept for the next test: unpacked bases."""
    adapter.ensure_image(engine, images["image-builder"], *account("pull"))
    proxy, hosts = packages.container, packages.hosts
    yield adapter.Place("slipway-test-builder", images["image-builder"], unique, proxy, hosts, LABELS)
    adapter.remove_volume(engine, unique)


@pytest.fixture
def build(engine: Any, place: adapter.Place, python: str, images: dict[str, str], asked: Registry) -> Build:
    """Builds an image of a Dockerfile's text; gives its digest and the lines that were logged."""

    def base(name: str, ref: str) -> adapter.Base:
        repository, _, digest = ref.partition("/")[2].partition("@")
        return adapter.Base(name, digest, partial(asked.layout, repository, digest))

    def run(
        dockerfile: str,
        *,
        begins: str = "ARG BASE\nFROM ${BASE}\n",
        files: Mapping[str, bytes | str] | None = None,
        path: str = "Dockerfile",
        at: adapter.Place = place,
        target: str | None = None,
        folders: Mapping[str, Iterator[bytes]] | None = None,
        timeout_s: float = 120,
        client: Any = engine,
    ) -> tuple[adapter.Made, list[str]]:
        said: list[str] = []
        recipe = adapter.Recipe(
            dockerfile=path,
            target=target,
            platform="linux/amd64",
            arguments={"BASE": python},
            labels={"test": "what=ever, it is"},
            bases=[base(python, python), base("python:3.11-slim", images["library-python"])],
            timeout_s=timeout_s,
        )
        made = adapter.build(
            client,
            at,
            _tar_of({path: f"{begins}{dockerfile}".encode(), **(files or {})}, folders=True),
            recipe,
            folders=folders or {},
            log=said.append,
        )
        assert made.digest.startswith("sha256:")
        return made, said

    return run


@pytest.fixture(scope="session")
def tar_of() -> Callable[..., IO[bytes]]:
    """Gives what makes a tar of files."""
    return _tar_of


@pytest.fixture(scope="session")
def script() -> Callable[..., tuple[int, str]]:
    """Gives what runs Python in a bounded container."""
    return _script
