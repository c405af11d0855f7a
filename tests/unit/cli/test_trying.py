"""`slipway try`: what is tried, and of which working copy."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from slipway.catalog import catalog_directory, load_service
from slipway.catalog.service import Commanded
from slipway.cli.trying import _chosen, packed
from slipway.errors import CatalogError
from slipway.release import gates

EXAMPLE = load_service(catalog_directory() / "ai-generation.yaml")
ALL = gates.alone(EXAMPLE, 7)


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", folder, "-c", "user.name=a", "-c", "user.email=a@b", *arguments], check=True)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("kept.py", "gone.py", ".gitignore", "run.sh"):
        (tmp_path / name).write_text("ignored.py\n" if name == ".gitignore" else name)
    (tmp_path / "run.sh").chmod(0o700)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "a")
    return tmp_path


def test_working_copy_is_what_git_would_commit(copy: Path) -> None:
    (copy / "gone.py").unlink()
    (copy / "kept.py").write_text("changed")
    for name in ("new.py", "ignored.py"):
        (copy / name).write_text(name)
    (copy / "link.py").symlink_to("kept.py")
    with packed(copy) as file, tarfile.open(fileobj=file) as tar:
        members = {one.name: one for one in tar}
        assert set(members) == {"src/.gitignore", "src/kept.py", "src/link.py", "src/new.py", "src/run.sh"}
        changed = tar.extractfile("src/kept.py")
        assert changed
        assert changed.read() == b"changed"
    assert members["src/link.py"].linkname == "kept.py"
    assert [oct(members[f"src/{one}"].mode) for one in ("run.sh", "new.py")] == ["0o755", "0o644"]


def test_folder_that_is_no_working_copy_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="is no working copy of git"), packed(tmp_path):
        pass


def test_all_that_can_be_tried_is_tried_unless_some_are_named() -> None:
    assert _chosen(EXAMPLE, ALL, ()) == list(ALL)
    assert [one.stage for one in _chosen(EXAMPLE, ALL, ("test.unit", "build.lint"))] == [
        "test.unit",
        "build.lint",
    ]


@pytest.mark.parametrize(
    ("stage", "says"),
    [("scan.dynamic", "is no stage that can be tried"), ("build.lint", "is left out: no linter yet")],
)
def test_stage_that_cannot_be_tried_says_why(stage: str, says: str) -> None:
    build = EXAMPLE.build.model_copy(update={"lint": Commanded(left_out="no linter yet")})
    service = EXAMPLE.model_copy(update={"build": build})
    with pytest.raises(CatalogError, match=says):
        _chosen(service, gates.alone(service, 7), (stage,))
