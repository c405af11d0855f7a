"""What a repository says of its service: each guess has a cause, and what is undecided stays so."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog import load_service
from slipway.catalog.recognition import Choice, Files, Guess, deployment, entry, python
from slipway.catalog.recognition.entry import flow

FASTAPI = {
    "pyproject.toml": '[tool.poetry]\nname = "shop"\n[tool.mypy]\nfiles = ["app"]\n',
    "poetry.lock": "",
    ".flake8": "[flake8]\n",
    "app/__init__.py": "",
    "tests/unit/test_a.py": "",
    "tests/integration/test_b.py": "",
    "docker-compose.yml": "services:\n  db:\n    image: postgres:16\n",
    "Dockerfile": (
        'FROM python:3.11 AS build\nCMD ["nothing"]\nFROM python:3.11-slim\nEXPOSE 8080\n'
        'CMD ["poetry", "run", "uvicorn", "--host=0.0.0.0", "app.main:app"]\n'
    ),
    "k8s/deployment.yaml": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: shop, namespace: shops}\n"
        "spec: {template: {spec: {containers: [{name: web, readinessProbe: {httpGet: {path: /healthz}}}]}}}\n"
        "---\napiVersion: v1\nkind: Service\nmetadata: {name: shop-web}\nspec: {ports: [{port: 8000}]}\n"
    ),
}


def found(files: dict[str, str], **more: str | None) -> Any:
    looked = Files({key: text for key, text in {**files, **more}.items() if text is not None})
    one, other = python(looked), deployment(looked)
    one.known |= other.known
    one.open += other.open
    return one


def test_usual_project_is_known_and_each_guess_has_its_cause() -> None:
    one = found(FASTAPI)
    assert not one.open
    assert {word: guess.value for word, guess in one.known.items()} == {
        "source.dependencies": {"runtime": "poetry.lock", "development": "poetry.lock"},
        "build.lint": {"command": ["flake8"]},
        "build.analyze": {"command": ["mypy"]},
        "test.unit": {"path": "tests/unit"},
        "test.integration": {"path": "tests/integration", "database": True},
        "scan.dynamic.command": ["/deps/venv/bin/uvicorn", "--host=0.0.0.0", "app.main:app"],
        "scan.dynamic.port": 8080,
        "config.manifests": "k8s",
        "deploy.deployment": "shop",
        "deploy.namespace": "shops",
        "deploy.container": "web",
        "deploy.kinds": ["Service", "Deployment"],
        "verify.health.service": "shop-web",
        "verify.health.port": 8000,
        "verify.health.ready": "/healthz",
    }
    assert all(guess.because for guess in one.known.values())


def test_file_is_short_says_every_cause_and_is_good(tmp_path: Path) -> None:
    text = entry(
        "shop", "Shop", "shops", "https://git.example/shop", "https://git.example/shop", found(FASTAPI)
    )
    assert len(text.splitlines()) <= 20
    for cause in ("# poetry.lock", "# .flake8", "# CMD in Dockerfile; EXPOSE", "# k8s/deployment.yaml"):
        assert cause in text
    (tmp_path / "shop.yaml").write_text(text)
    service = load_service(tmp_path / "shop.yaml")
    assert service.build.lint.command == ("flake8",)
    assert service.verify.health.ready == "/healthz"


def test_project_without_tests_linter_and_manifests_is_known_as_such(tmp_path: Path) -> None:
    one = found({"requirements.txt": "a==1\n", "Procfile": "web: gunicorn shop:app\n"})
    assert not one.open
    assert one.known["build.lint"].value == {"left_out": "no linter is configured"}
    assert one.known["test.unit"].value == {"left_out": "no tests are written yet"}
    assert one.known["source.dependencies"].value["development"] == "requirements.txt"
    (tmp_path / "shop.yaml").write_text(entry("shop", "Shop", "shops", "services/shop", "config/shop", one))
    assert load_service(tmp_path / "shop.yaml").left_out.keys() == {
        *("build.lint", "build.analyze", "test.unit", "test.integration")
    }


@pytest.mark.parametrize(
    ("more", "word", "possible"),
    [
        ({"requirements.txt": "a==1"}, "source.dependencies", 2),
        ({"ruff.toml": ""}, "build.lint", 2),
        ({"pyrightconfig.json": "{}"}, "build.analyze", 2),
        ({"poetry.lock": None}, "source.dependencies", 0),
        ({"Dockerfile": "FROM python:3.11\n"}, "scan.dynamic.command", 0),
        ({"Dockerfile": "FROM python:3.11\nCMD exec uvicorn a:b --port $PORT\n"}, "scan.dynamic.command", 0),
        ({"Dockerfile": 'FROM python:3.11\nCMD ["./start.sh"]\n'}, "scan.dynamic.command", 0),
    ],
)
def test_what_is_not_clear_is_a_choice_and_never_guessed(
    more: dict[str, str | None], word: str, possible: int
) -> None:
    one = found(FASTAPI, **more)
    (choice,) = one.open
    assert (choice.word, len(choice.guesses)) == (word, possible)
    assert word not in one.known


def test_two_deployments_are_a_choice() -> None:
    worker = FASTAPI["k8s/deployment.yaml"].partition("---")[0].replace("name: shop,", "name: worker,")
    one = found(FASTAPI, **{"k8s/worker.yaml": worker})
    assert str(one.open[0]) == "deploy.deployment: shop (k8s/deployment.yaml) or worker (k8s/worker.yaml)"


def test_choice_without_an_answer_says_so() -> None:
    assert str(Choice("a.b", ())) == "a.b: nothing in the repository tells"
    assert str(Choice("a", (Guess(1, "x"), Guess(2, "y")))) == "a: 1 (x) or 2 (y)"


VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(st.characters(exclude_categories=("Cs", "Cc"))),
    lambda one: (
        st.lists(one, max_size=4)
        | st.dictionaries(st.from_regex("[a-z_]{1,8}", fullmatch=True), one, max_size=4)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_what_is_written_is_read_again_as_it_was(value: Any) -> None:
    read = yaml.safe_load(f"key: {flow(value)}   # because")["key"]
    assert read == value


@given(st.dictionaries(st.sampled_from(sorted(FASTAPI)), st.text(max_size=200)))
def test_whatever_a_repository_holds_it_is_looked_into(files: dict[str, str]) -> None:
    one = found(files)
    assert {choice.word for choice in one.open}.isdisjoint(one.known)
