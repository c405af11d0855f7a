"""What the tests of the engine share: images, tars, and programs that run in containers."""

from __future__ import annotations

import io
import tarfile
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import pytest

from slipway.adapters import engine as adapter
from slipway_sandbox.part import Sandbox

LABELS = {"slipway": "test"}

Build = Callable[..., list[str]]

WRITTEN = 1_700_000_000


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


def _script(
    engine: Any, name: str, image: str, code: str, *arguments: str, network_mode: str = "none", **options: Any
) -> tuple[int, str]:
    """Run Python in a bounded container to its end; give exit code and output."""
    command = ["python3", "-c", code, *arguments]
    adapter.start(engine, name, image, network_mode=network_mode, command=command, **options)
    code_ = adapter.wait_exit(engine, name, 30)
    return code_, engine.logs(name).decode()


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
            _tar_of({path: text, **(files or {})}, folders=True),
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


@pytest.fixture(scope="session")
def tar_of() -> Callable[..., IO[bytes]]:
    """Gives what makes a tar of files."""
    return _tar_of


@pytest.fixture(scope="session")
def script() -> Callable[..., tuple[int, str]]:
    """Gives what runs Python in a bounded container."""
    return _script
