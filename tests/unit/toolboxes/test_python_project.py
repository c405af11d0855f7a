"""A project is known to its Python as an installed one is."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import gate
import pytest
import python_project


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(python_project, "PLACE", tmp_path / "project")
    monkeypatch.setattr(python_project, "TOOLS", sys.executable)
    return tmp_path / "project"


def project(root: Path, pyproject: str, **files: str) -> Path:
    root.mkdir(exist_ok=True)
    (root / "pyproject.toml").write_text(pyproject)
    for name, text in files.items():
        (root / name.replace("__", "/")).parent.mkdir(exist_ok=True, parents=True)
        (root / name.replace("__", "/")).write_text(text)
    return root


def asked(root: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=python_project.environment(root),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "text",
    [
        '[project]\nname = "my-shop"\nversion = "3.1"\n[project.entry-points.shop]\na = "shop:b"\n',
        '[project]\nname = "my-shop"\nversion = "3.1"\ndynamic = ["dependencies"]\n[project.entry-points.shop]\na = "shop:b"\n',
        '[tool.poetry]\nname = "my-shop"\nversion = "3.1"\n[tool.poetry.plugins.shop]\na = "shop:b"\n',
    ],
    ids=["project", "dependencies elsewhere", "poetry"],
)
def test_project_knows_its_version_and_entry_points(tmp_path: Path, place: Path, text: str) -> None:
    root = project(tmp_path / "src", text)
    said = "from importlib.metadata import version, entry_points as e; print(version('my_shop'), *e(group='shop'))"
    assert asked(root, said).startswith("3.1 EntryPoint(name='a', value='shop:b', group='shop')")
    assert place.is_dir()


BUILD = (
    '[project]\nname = "shop"\ndynamic = ["version"]\n[build-system]\nrequires = []\nbuild-backend = "%s"\n'
)


@pytest.mark.usefixtures("place")
def test_backend_that_is_not_there_is_said_and_the_tests_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python_project.environment(project(tmp_path / "src", BUILD % "nobodys_backend"))
    assert "nobodys_backend does not tell its metadata" in capsys.readouterr().out


@pytest.mark.usefixtures("place")
def test_application_that_is_no_package_is_run_from_its_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    python_project.environment(
        project(tmp_path / "src", '[tool.x]\n[project]\nname = "a"\ndynamic = ["version"]\n')
    )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("told", "names"),
    [
        ({}, ["src", "."]),
        ({"tool": {"setuptools": {"package-dir": {"": "lib"}}}}, ["lib", "src", "."]),
        ({"tool": {"setuptools": {"packages": {"find": {"where": ["lib"]}}}}}, ["lib", "src", "."]),
        ({"tool": {"poetry": {"packages": [{"include": "shop", "from": "lib"}]}}}, ["lib", "src", "."]),
        ({"tool": {"setuptools": {"package-dir": {"": "../out"}}}}, ["src", "."]),
        ({"tool": {"poetry": {"packages": "x"}, "setuptools": 3}}, ["src", "."]),
    ],
)
def test_imports_start_where_the_project_says(tmp_path: Path, told: dict[str, Any], names: list[str]) -> None:
    root = tmp_path / "root"
    for one in ("src", "lib", "../out"):
        (root / one).mkdir(parents=True)
    assert python_project.import_roots(root, told) == [root / one if one != "." else root for one in names]


@pytest.mark.parametrize("name", ["../x", "a b", ""])
def test_names_that_are_none_are_not_made_into_paths(name: str) -> None:
    assert python_project.static_metadata({"project": {"name": name, "version": "1"}}) is None


@pytest.mark.usefixtures("place")
def test_pyproject_that_is_no_toml_is_told(tmp_path: Path) -> None:
    with pytest.raises(gate.Failed, match=r"pyproject.toml cannot be read"):
        python_project.environment(project(tmp_path / "src", "[project"))
