"""Keys of images, and what is installed into them."""

import shutil
import stat
from pathlib import Path

import pytest

from slipway_sandbox import images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(images.FOLDER, tmp_path / "images"))


def test_key_depends_on_content_alone(folder: Path) -> None:
    assert images.keys(folder) == images.keys()


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("toolbox-scan/bin/sast", {"toolbox-scan"}),
        ("shared/gate/gate.py", {"toolbox-scan", "toolbox-python"}),
        ("base-python/Dockerfile", set(images.IMAGES) - {"base-debian"}),
        ("base-debian/Dockerfile", set(images.IMAGES)),
        ("shared/build/apt-install", set(images.IMAGES) - {"base-debian"}),
    ],
)
def test_change_touches_the_images_that_hold_it_and_those_above(
    folder: Path, file: str, changed: set[str]
) -> None:
    before = images.keys(folder)
    with (folder / file).open("a") as text:
        text.write("# changed\n")
    after = images.keys(folder)
    assert {name for name in after if after[name] != before[name]} == changed


def test_executable_bit_and_base_are_part_of_the_key(folder: Path) -> None:
    before = images.keys(folder)
    (folder / "toolbox-scan/bin/sast").chmod(stat.S_IRUSR)
    assert images.keys(folder)["toolbox-scan"] != before["toolbox-scan"]
    given = images.keys(folder, "debian:bookworm-slim")
    assert all(given[name] != before[name] for name in before)


def test_every_install_is_locked_by_hash() -> None:
    for listed in images.FOLDER.rglob("*.in"):
        lines = [line.split("#")[0].strip() for line in listed.with_suffix(".txt").read_text().splitlines()]
        pins = [number for number, line in enumerate(lines) if "==" in line]
        assert pins, listed
        assert all(lines[number + 1].startswith("--hash=sha256:") for number in pins), listed
