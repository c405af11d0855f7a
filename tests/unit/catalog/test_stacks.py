"""A stack is a folder of the toolboxes with the programs of its stages, and a module that recognises its projects."""

from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from slipway.catalog import catalog_directory, load_service
from slipway.catalog.recognition import STACKS, Files, Guess, entry, node, recognised
from slipway.catalog.recognition.java import java
from slipway.catalog.service import LOCKS, Stack
from slipway.release.sources import lock_files
from slipway.toolboxes.recipes import FOLDER

PROGRAMS = {"fetch-dependencies", "compile", "lint", "analyze", "unit", "integration", "command"}
TODAY = date(2026, 11, 27)
NODE = {
    "package.json": '{"scripts": {"build": "tsc", "lint": "eslint .", "test": "vitest run", "test:integration": "vitest run it"},'
    ' "dependencies": {"@fastify/swagger": "9"}}',
    "package-lock.json": "{}",
    "tsconfig.json": "{}",
    "compose.yaml": "services:\n  db:\n    image: postgres:16\n",
    "Dockerfile": 'FROM node:22-slim\nEXPOSE 3000\nCMD ["node", "dist/server.js"]\n',
}


def values(files: dict[str, str]) -> dict[str, Any]:
    found = node(Files(files), TODAY)
    assert not found.open
    return {word: one.value for word, one in found.known.items()}


def test_each_stack_has_its_programs_its_locks_and_its_recognition() -> None:
    names = {one.name for one in STACKS}
    assert names == set(get_args(Stack)) == set(LOCKS)
    for name in names:
        assert {one.name for one in (FOLDER / f"toolbox-{name}/bin").iterdir()} >= PROGRAMS


@pytest.mark.parametrize(
    ("files", "stacks"),
    [
        (["pyproject.toml", "tools/package.json"], ["python"]),
        (["package.json", "scripts/a.py"], ["node"]),
        (["app.py"], ["python"]),
        (["package.json", "requirements.txt"], ["python", "node"]),
        (["README.md"], []),
    ],
)
def test_stack_is_told_by_the_files_at_the_top(files: list[str], stacks: list[str]) -> None:
    assert [one.value for one in recognised(Files(dict.fromkeys(files, "")))] == stacks


def test_usual_node_project_needs_no_command() -> None:
    assert values(NODE) == {
        "stack": "node",
        "source.dependencies": {"runtime": "package-lock.json", "development": "package-lock.json"},
        "build.lint": {},
        "build.analyze": {},
        "test.unit": {},
        "test.integration": {"database": True},
        "scan.dynamic.command": ["node", "dist/server.js"],
        "scan.dynamic.port": 3000,
        "scan.dynamic.openapi": "/documentation/json",
        "scan.dynamic.database": True,
    }


def test_node_project_without_scripts_has_its_stages_left_out() -> None:
    found = values(
        {
            "package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}',
            "yarn.lock": "",
        }
    )
    assert all(
        "left_out" in found[word] for word in ("build.lint", "build.analyze", "test.unit", "test.integration")
    )
    assert found["scan.dynamic.policy"] == "off"
    assert found["scan.dynamic.until"] > TODAY.isoformat()


def test_two_locks_are_a_choice_and_no_lock_is_asked_for() -> None:
    both = node(Files({**NODE, "yarn.lock": ""}), TODAY)
    assert [len(one.guesses) for one in both.open] == [2]
    (none,) = node(Files({"package.json": "{}"}), TODAY).open
    assert str(none) == "source.dependencies: nothing in the repository tells"


def test_node_file_is_short_and_good(tmp_path: Path) -> None:
    found = node(Files(NODE), TODAY)
    found.known["config.manifests"] = Guess("k8s", "k8s/")
    text = entry("notes", "Notes", "notes", "notes", "notes-config", found)
    (tmp_path / "notes.yaml").write_text(text)
    assert len(text.splitlines()) <= 21
    assert load_service(tmp_path / "notes.yaml").toolbox == "toolbox-node"


@given(st.dictionaries(st.sampled_from(sorted(NODE)), st.text(max_size=80)))
def test_whatever_a_node_repository_holds_it_is_looked_into(files: dict[str, str]) -> None:
    node(Files(files), TODAY)


def test_service_has_its_stacks_lock_where_it_names_none(tmp_path: Path) -> None:
    told = yaml.safe_load((catalog_directory() / "ai-generation.yaml").read_text())
    told |= {"service": "a", "stack": "node"}
    told["source"].pop("dependencies", None)
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(told))
    assert load_service(tmp_path / "a.yaml").source.dependencies.runtime == "package-lock.json"
    told["source"]["dependencies"] = {"runtime": "yarn.lock", "development": "yarn.lock"}
    (tmp_path / "a.yaml").write_text(yaml.safe_dump(told))
    assert load_service(tmp_path / "a.yaml").source.dependencies.runtime == "yarn.lock"


def test_what_a_lock_is_read_with_counts_and_some_of_it_may_be_missing() -> None:
    assert lock_files(["requirements.txt", "b/poetry.lock"]) == {
        "requirements.txt": True,
        "b/poetry.lock": True,
        "b/pyproject.toml": True,
    }
    assert lock_files(["a/package-lock.json"]) == {
        "a/package-lock.json": True,
        "a/package.json": True,
        "a/.nvmrc": False,
        "a/.node-version": False,
    }


POM = """<project><groupId>com.example</groupId><artifactId>shop</artifactId><version>1.0</version>
<dependencies><dependency><artifactId>springdoc-openapi-starter-webmvc-ui</artifactId></dependency></dependencies>
<build><plugins><plugin><artifactId>maven-failsafe-plugin</artifactId></plugin>
<plugin><artifactId>maven-checkstyle-plugin</artifactId></plugin></plugins></build></project>"""
JAVA = {
    "pom.xml": POM,
    "src/test/java/a/SumTest.java": "",
    "src/test/java/a/ShopIT.java": "",
    "compose.yaml": "services:\n  db:\n    image: postgres:16\n",
    "Dockerfile": "FROM eclipse-temurin:17-jre\nEXPOSE 8081\n",
}


def java_values(files: dict[str, str]) -> dict[str, Any]:
    found = java(Files(files), TODAY)
    assert not found.open
    return {word: one.value for word, one in found.known.items()}


def test_usual_maven_project_needs_no_command() -> None:
    assert java_values(JAVA) == {
        "stack": "java",
        "build.lint": {},
        "build.analyze": {"left_out": "the compiler checks types; nothing else is configured"},
        "test.unit": {},
        "test.integration": {"database": True},
        "scan.dynamic.command": ["java", "-jar", "target/shop-1.0.jar"],
        "scan.dynamic.openapi": "/v3/api-docs",
        "scan.dynamic.port": 8081,
        "scan.dynamic.database": True,
    }


def test_maven_project_without_tests_or_checks_has_its_stages_left_out() -> None:
    found = java_values({"pom.xml": "<project/>"})
    assert all(
        "left_out" in found[word] for word in ("build.lint", "build.analyze", "test.unit", "test.integration")
    )
    assert found["scan.dynamic.policy"] == "off"


@given(st.dictionaries(st.sampled_from(sorted(JAVA)), st.text(max_size=80)))
def test_whatever_a_maven_repository_holds_it_is_looked_into(files: dict[str, str]) -> None:
    java(Files(files), TODAY)


def test_poms_of_modules_are_part_of_the_lock() -> None:
    found = lock_files(["pom.xml", "pom.xml"], ["pom.xml", "web/pom.xml", "core/pom.xml", "pom.xml.bak"])
    assert [*found] == [
        "pom.xml",
        ".mvn/wrapper/maven-wrapper.properties",
        ".mvn/extensions.xml",
        ".mvn/maven.config",
        "core/pom.xml",
        "web/pom.xml",
    ]
