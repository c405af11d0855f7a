"""Which images there are, what each stands on, their keys, and what is installed into them."""

import shutil
import stat
from pathlib import Path

import pytest

from slipway.errors import CatalogError
from slipway.toolboxes.recipes import FOLDER, Recipes

IMAGES = set(Recipes.of().bases)
TRIXIE = {"base-debian-13", "library-debian-13", "library-python-313", "library-python-313-full"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER, tmp_path / "images", ignore=shutil.ignore_patterns(".*")))


def test_key_depends_on_content_alone(folder: Path) -> None:
    assert Recipes.of(folder).keys() == Recipes.of().keys()


def test_what_tools_leave_in_a_checkout_is_no_part_of_the_key(folder: Path) -> None:
    before = Recipes.of(folder).keys()
    for left in (
        "toolbox-python/.ruff_cache/0.1/1",
        "shared/gate/__pycache__/gate.pyc",
        "toolbox-scan/lib/.osv.py.swp",
    ):
        (folder / left).parent.mkdir(parents=True, exist_ok=True)
        (folder / left).write_text("left")
    assert Recipes.of(folder).keys() == before


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("toolbox-scan/bin/sast", {"toolbox-scan"}),
        (
            "shared/gate/gate.py",
            {"toolbox-scan", "toolbox-python", "toolbox-node", "toolbox-go", "toolbox-java"},
        ),
        (
            "base-python/Dockerfile",
            IMAGES
            - {"base-debian", "package-proxy", "library-debian", "library-python", "library-python-full"}
            - {"library-temurin-jre", "library-temurin", "library-maven", "library-redis"}
            - TRIXIE,
        ),
        ("base-debian/Dockerfile", IMAGES),
        ("shared/build/apt-install", IMAGES - {"base-debian", "base-debian-13"}),
        ("library-python-full/Dockerfile", {"library-python-full", "library-python-313-full"}),
    ],
)
def test_change_touches_the_images_that_hold_it_and_those_above(
    folder: Path, file: str, changed: set[str]
) -> None:
    before = Recipes.of(folder).keys()
    with (folder / file).open("a") as text:
        text.write("# changed\n")
    after = Recipes.of(folder).keys()
    assert {name for name in after if after[name] != before[name]} == changed


def test_executable_bit_and_base_are_part_of_the_key(folder: Path) -> None:
    before = Recipes.of(folder).keys()
    (folder / "toolbox-scan/bin/sast").chmod(stat.S_IRUSR)
    assert Recipes.of(folder).keys()["toolbox-scan"] != before["toolbox-scan"]
    given = Recipes.of(folder).keys("debian:bookworm-slim")
    # what is given takes the place of bookworm
    assert {name for name in before if given[name] == before[name]} == TRIXIE


def test_every_install_is_locked_by_hash() -> None:
    for listed in FOLDER.rglob("*.in"):
        lines = [line.split("#")[0].strip() for line in listed.with_suffix(".txt").read_text().splitlines()]
        pins = [number for number, line in enumerate(lines) if "==" in line]
        assert pins, listed
        assert all(lines[number + 1].startswith("--hash=sha256:") for number in pins), listed


def test_every_folder_with_a_dockerfile_is_listed() -> None:
    recipes = Recipes.of()
    assert {path.parent for path in FOLDER.glob("*/Dockerfile")} == {recipes.place(name) for name in IMAGES}


def test_image_that_is_optional_is_made_only_if_it_is_asked_for_with_what_it_stands_on() -> None:
    recipes = Recipes.of()
    assert not TRIXIE & set(recipes.needed())
    assert recipes.needed(recipes.of_names(["python:3.13-slim"])) == tuple(
        name for name in recipes.bases if name in TRIXIE - {"library-python-313-full"}
    )
    assert {recipes.suite(name) for name in TRIXIE} == {"trixie"}
    assert recipes.suite("library-python") == "bookworm"
    with pytest.raises(CatalogError, match=r"stands for `python:3\.12-slim`") as caught:
        recipes.of_names(["python:3.12-slim"])
    assert "python:3.11-slim" in str(caught.value)


def test_what_an_image_stands_on_comes_with_it_and_before_it(tmp_path: Path) -> None:
    (tmp_path / "images.toml").write_text(
        '[tool]\nBASE = "middle"\n[middle]\nBASE = "low"\n[low]\nBASE = ""\n[other]\nBASE = "low"\n'
    )
    found = Recipes.of(tmp_path)
    assert found.needed() == ("low", "middle", "other", "tool")
    assert found.needed(["tool"]) == ("low", "middle", "tool")
    assert found.needed(["low"]) == ("low",)


@pytest.mark.parametrize(
    ("listed", "why"),
    [
        ("[a\n", "is not TOML"),
        ("a = 1\n", "a is no table"),
        ("[a]\nBASE = 1\n", "a is no table"),
        ('[a]\nBASE = "b"\n[b]\nBASE = "a"\n', "a, b stand on each other"),
        ('[a]\nBASE = "c"\n', "not listed"),
        (None, "the toolboxes are not here"),
    ],
)
def test_list_that_cannot_be_built_is_refused(tmp_path: Path, listed: str | None, why: str) -> None:
    if listed is not None:
        (tmp_path / "images.toml").write_text(listed)
    with pytest.raises(CatalogError, match=why):
        Recipes.of(tmp_path)


def test_images_that_dockerfiles_build_on_are_told_by_their_public_names() -> None:
    recipes = Recipes.of()
    refs = {name: f"r/{name}@sha256:1" for name in recipes.needed(["library-python-full", "toolbox-scan"])}
    own, public = recipes.parted(refs)
    assert set(own) == {"base-debian", "base-python", "toolbox-scan"}
    assert public["python:3.11-slim"] == refs["library-python"]
    assert public["python:3.11"] == refs["library-python-full"]
    assert "node:24" not in public
    assert sorted(public) == sorted(set(public) & {one for names in recipes.names.values() for one in names})


def test_unknown_image_is_refused_with_the_one_that_is_meant() -> None:
    with pytest.raises(CatalogError, match="no image `toolbox-pyton`; did you mean `toolbox-python`"):
        Recipes.of().needed(["toolbox-pyton"])


def test_folder_without_its_dockerfile_is_named(folder: Path) -> None:
    (folder / "toolbox-scan/Dockerfile").unlink()
    with pytest.raises(CatalogError, match="toolbox-scan/Dockerfile is missing"):
        Recipes.of(folder).keys()
