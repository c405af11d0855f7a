"""`slipway new --repo`: a repository as it is becomes a catalog file, or the command says what it must be told."""

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.catalog import load_service
from slipway.cli import main

FILES = {
    "pyproject.toml": '[project]\nname = "shop"\n[tool.ruff]\n',
    "uv.lock": "version = 1\n",
    "shop/__init__.py": "",
    "tests/test_shop.py": "",
    "Dockerfile": 'FROM python:3.11-slim\nCMD ["uvicorn", "shop:app", "--port", "8000"]\n',
}


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for folder in ("dags", "include/services"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path / "include/services"))
    return tmp_path / "include/services"


def repository(folder: Path, **files: str | None) -> str:
    folder.mkdir()
    for name, text in {**FILES, **files}.items():
        if text is not None:
            (folder / name).parent.mkdir(exist_ok=True, parents=True)
            (folder / name).write_text(text)
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", "-C", folder, *command], check=True)
    return str(folder)


def new(*arguments: str, answers: str | None = None) -> Result:
    return CliRunner().invoke(main, ("new", "shop", "--team", "shops", *arguments), input=answers)


URL = "https://git.example/shop.git"


def served_from(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    """Let git take the folder for the URL."""
    for name, value in (("COUNT", "1"), ("KEY_0", f"url.{folder}.insteadOf"), ("VALUE_0", URL)):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)


def test_repository_becomes_a_file_that_passes_lint(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served_from(monkeypatch, repository(tmp_path / "shop"))
    result = new("--repo", URL, "--no-input")
    assert result.exit_code == 0, result.output
    service = load_service(catalog / "shop.yaml")
    assert service.source.repository == URL
    assert service.build.lint.command == ("ruff", "check", ".")
    assert service.test.unit.path == "tests"
    assert len((catalog / "shop.yaml").read_text().splitlines()) <= 20
    assert CliRunner().invoke(main, ["lint"]).exit_code == 0


def test_what_is_undecided_ends_with_a_code_of_its_own_and_both_answers(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served_from(monkeypatch, repository(tmp_path / "shop", **{"poetry.lock": ""}))
    result = new("--repo", URL, "--no-input")
    assert result.exit_code == 2
    assert "What to do: Say it by --set" in result.output
    assert "'uv.lock'" in result.output
    assert "'poetry.lock'" in result.output
    assert not list(catalog.iterdir())


def test_person_is_asked_and_what_is_said_is_taken(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"poetry.lock": "", "Dockerfile": "FROM python:3.11\n"}
    served_from(monkeypatch, repository(tmp_path / "shop", **files))
    result = new("--repo", URL, "--set", "scan.dynamic.command=[python, -m, shop]", answers="2\n")
    assert result.exit_code == 0, result.output
    service = load_service(catalog / "shop.yaml")
    assert service.source.dependencies.runtime == "poetry.lock"
    assert service.scan.dynamic.command == ("python", "-m", "shop")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"Dockerfile": None}, "has no Dockerfile"),
        (dict.fromkeys(FILES) | {"Cargo.toml": "", "README": "x"}, "it has Cargo.toml (Rust)"),
        ({"package.json": "{}"}, "stack: python (pyproject.toml) or node (package.json)"),
    ],
)
def test_what_cannot_come_in_is_told(
    catalog: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str | None], says: str
) -> None:
    served_from(monkeypatch, repository(tmp_path / "shop", **files))
    result = new("--repo", URL, "--no-input")
    assert result.exit_code == 2
    assert says in result.output
    assert not list(catalog.iterdir())


@pytest.mark.usefixtures("catalog")
def test_repository_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = new("--repo", str(tmp_path / "nothing"), "--no-input")
    assert result.exit_code == 2
    assert "cannot be cloned" in result.output
