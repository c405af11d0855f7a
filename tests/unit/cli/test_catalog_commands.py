import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.catalog import load_service
from slipway.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives a folder laid out as the checkout, with the catalog in it."""
    for folder in ("dags", "docs"):
        (tmp_path / folder).mkdir()
    shutil.copytree(ROOT / "include/services", tmp_path / "include/services")
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path / "include/services"))
    return tmp_path


def slipway(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_good_catalog_passes_lint(checkout: Path) -> None:
    result = slipway("lint")
    assert (result.exit_code, result.output) == (0, "good: ai-generation, links, notes, prompt-library\n")
    assert json.loads(slipway("lint", "--json").output) == {
        "services": ["ai-generation", "links", "notes", "prompt-library"],
        "problems": [],
    }


def test_lint_tells_each_problem_with_its_place_and_exits_2(checkout: Path) -> None:
    path = checkout / "include/services/ai-generation.yaml"
    path.write_text(
        path.read_text().replace("order: expand-contract", "order: befor").replace("stack:", "stak:")
    )
    lines = path.read_text().splitlines()
    stack, order = (next(n for n, line in enumerate(lines, 1) if word in line) for word in ("stak", "befor "))
    result = slipway("lint", str(path))
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"{path}:{stack}:1: stak: `stak` is not a word of the catalog here; did you mean `stack`? "
        "(legal: service, title, team, description, source, config, queue, stack, build, test, scan, image, "
        "deploy, verify, notify)",
        f"{path}:52:10: deploy.order: `befor` is not allowed; did you mean `before`? (legal: before, after, expand-contract)",
    ]
    problems = json.loads(slipway("lint", "--json", str(path.parent)).output)["problems"]
    assert [(one["line"], one["column"], one["meant"]) for one in problems] == [
        (stack, 1, "stack"),
        (order, 10, "before"),
    ]
    assert set(problems[0]) == {"file", "line", "column", "path", "what", "legal", "meant"}


def test_lint_of_nothing_is_not_a_success(tmp_path: Path) -> None:
    assert slipway("lint", str(tmp_path)).exit_code == 2
    missing = slipway("lint", str(tmp_path / "none.yaml"))
    assert missing.exit_code == 2
    assert "No such file" in missing.output


def test_schema_and_reference_are_written_to_their_places(checkout: Path) -> None:
    (checkout / "include/services/catalog.schema.json").unlink()
    assert slipway("schema").exit_code == 0
    assert slipway("schema", "--markdown").exit_code == 0
    for path in ("include/services/catalog.schema.json", "docs/catalog.md"):
        assert (checkout / path).read_text() == (ROOT / path).read_text()


def test_new_service_is_good_and_has_its_dag(checkout: Path) -> None:
    result = slipway("new", "text-search", "--team", "search")
    assert result.exit_code == 0, result.output
    service = load_service(checkout / "include/services/text-search.yaml")
    assert (service.service, service.title, service.team) == ("text-search", "Text Search", "search")
    assert slipway("lint").exit_code == 0
    assert (
        (checkout / "dags/release_text_search.py").read_text().endswith('dag = release_dag("text-search")\n')
    )


def test_new_dag_file_is_that_of_the_example_with_the_names_swapped(checkout: Path) -> None:
    (checkout / "include/services/ai-generation.yaml").unlink()
    assert slipway("new", "ai-generation", "--title", "AI Generation Service").exit_code == 0
    generated = (checkout / "dags/release_ai_generation.py").read_text()
    assert generated == (ROOT / "dags/release_ai_generation.py").read_text()


@pytest.mark.parametrize(
    ("service", "title"),
    [("Ai", ""), ("../x", ""), ("a_b", ""), ("-a", ""), ("a" * 41, ""), ("ok", 'x"""\nimport os')],
)
def test_new_refuses_illegal_names_and_leaves_nothing(checkout: Path, service: str, title: str) -> None:
    before = sorted(checkout.rglob("*"))
    result = slipway("new", *(["--title", title] if title else []), "--", service)
    assert result.exit_code == 2, result.output
    assert sorted(checkout.rglob("*")) == before


def test_new_overwrites_nothing(checkout: Path) -> None:
    before = (checkout / "include/services/ai-generation.yaml").read_text()
    result = slipway("new", "ai-generation")
    assert result.exit_code == 2
    assert "there already" in result.output
    assert (checkout / "include/services/ai-generation.yaml").read_text() == before


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from slipway.cli import main; main(['--help'], standalone_mode=False);"
        "print({'sqlalchemy', 'pydantic', 'requests', 'rich', 'slipway_sandbox.cli'} & set(sys.modules))"
    )
    path = {"PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'sandbox'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20, env=path
    )
    lines = done.stdout.splitlines()
    assert lines[-1] == "set()"
    listed = {line.split()[0] for line in lines if line.strip()}
    assert {"lint", "new", "release", "releases", "sandbox", "schema"} <= listed
