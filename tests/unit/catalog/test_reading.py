from pathlib import Path

import pytest

from slipway.catalog import catalog_directory, load_catalog, load_files, load_service, load_sound
from slipway.errors import CatalogError, Problem

GOOD = (catalog_directory() / "ai-generation.yaml").read_text()


def refused(folder: Path, text: str) -> list[Problem]:
    path = folder / "ai-generation.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError) as caught:
        load_service(path)
    assert caught.value.exit_code == 2
    assert caught.value.problems
    assert str(path) in str(caught.value)
    return list(caught.value.problems)


def changed(old: str, new: str) -> str:
    assert GOOD.count(old) == 1
    return GOOD.replace(old, new)


def place(text: str, word: str) -> tuple[int, int]:
    before = text[: text.index(word)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize(
    ("old", "new", "at", "path", "what", "legal", "meant"),
    [
        ("stack: python", "stak: python", "stak", "stak", "not a word", "stack", "stack"),
        ("stack: python", "toolbox: python", "toolbox", "toolbox", "not a word", "stack", "stack"),
        (
            "order: expand-contract",
            "order: befor",
            "befor ",
            "deploy.order",
            "not allowed",
            "after",
            "before",
        ),
        ("[ServiceAccount, ", "[Ingress, ", "Ingress,", "deploy.kinds[0]", "not allowed", "ConfigMap", None),
        (
            "ConfigMap,",
            "ConfigMaps,",
            "ConfigMaps",
            "deploy.kinds[1]",
            "not allowed",
            "ConfigMap",
            "ConfigMap",
        ),
        ("  namespace: ai-generation\n", "", "deploy:", "deploy.namespace", "missing", None, None),
        ("timeout_s: 600", 'timeout_s: "600"', '"600"', "image.timeout_s", "whole number", None, None),
        ("timeout_s: 600", "timeout_s: 0", "0\n\ndeploy", "image.timeout_s", "not at least 1", None, None),
        ("timeout_s: 600", "timeout_s: 99999", "99999", "image.timeout_s", "not at most 14400", None, None),
        ("PYTHONPATH: src", "PORT: 80", "80}", "scan.dynamic.environment.PORT", "in quotes", None, None),
        ("PYTHONPATH: src", '"A B": x', '"A B"', "scan.dynamic.environment.A B", "variable name", None, None),
        ("path: tests/unit", "path: ../unit", "../unit", "test.unit.path", "relative path", None, None),
        ("path: tests/unit", "path: a/../../b", "a/../", "test.unit.path", "relative path", None, None),
        ("path: tests/unit", "path: /etc", "/etc", "test.unit.path", "relative path", None, None),
        ("path: tests/unit", "path: -rf", "-rf", "test.unit.path", "relative path", None, None),
        ("namespace: ai-generation", "namespace: Ai_g", "Ai_g", "deploy.namespace", "DNS-1123", None, None),
        (
            "rollout: {timeout_s: 180}",
            "rollout:",
            None,
            "deploy.rollout",
            "nothing is given",
            "timeout_s",
            None,
        ),
        ("soak_s: 3", "soak_s: 120", None, "verify.health.timeout_s", "longer than soak_s", None, None),
    ],
)
def test_problem_names_place_fault_and_legal_words(
    tmp_path: Path,
    old: str,
    new: str,
    at: str | None,
    path: str,
    what: str,
    legal: str | None,
    meant: str | None,
) -> None:
    text = changed(old, new)
    [problem] = refused(tmp_path, text)
    assert (problem.path, problem.meant) == (path, meant)
    assert what in problem.what
    if at:
        assert (problem.line, problem.column) == place(text, at)
    assert legal is None or legal in problem.legal


def test_every_problem_is_told_at_once_in_order_of_lines(tmp_path: Path) -> None:
    text = GOOD.replace("branch: main", "brnch: main").replace("order: expand-contract", "order: never")
    found = refused(tmp_path, text)
    assert [one.path for one in found] == ["source.brnch", "config.brnch", "deploy.order"]
    assert [one.line for one in found] == sorted(one.line for one in found)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "empty"),
        ("hello", "mapping is needed"),
        ("[1]", "mapping is needed"),
        (GOOD + "stack: python\n", "given twice (first in line 19)"),
        (GOOD + "on: push\n", "a key must be text"),
        (GOOD + "? [a]\n: b\n", "a key must be text"),
        (GOOD + "---\na: 1\n", "single document"),
        (GOOD + "x: [1\n", "not YAML"),
        (GOOD + "x: \x01\n", "not YAML"),
        (GOOD + "x: !!python/object/apply:os.system [id]\n", "not a word"),
        (GOOD + "x: !!python/name:os.system id\n", "cannot be read"),
        (GOOD + "x: &x [*x]\n", "levels"),
        (GOOD + "x: " + "[" * 30_000 + "]" * 30_000, "levels"),
        (GOOD + "#" * 70_000, "larger than 64 KiB"),
        (
            GOOD
            + "a: &a [1,1,1,1,1,1,1,1,1,1]\n"
            + "".join(f"{n}: &{n} [{','.join([f'*{m}'] * 10)}]\n" for m, n in ["ab", "bc", "cd", "de"]),
            "aliases count in full",
        ),
    ],
)
def test_hostile_or_broken_yaml_is_refused_with_its_reason(tmp_path: Path, text: str, what: str) -> None:
    assert any(what in one.what for one in refused(tmp_path, text))


def test_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path) -> None:
    [problem] = refused(
        tmp_path, changed("repository: services/ai-generation", "repository: https://a:hunter2@h/x")
    )
    assert "password" in problem.what
    assert "hunter2" not in str(problem)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ai-generation.yaml"
    path.write_bytes(b"service: \xff\xfe\xfa")
    with pytest.raises(CatalogError, match="not YAML"):
        load_service(path)


def test_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="No such file"):
        load_service(tmp_path / "none.yaml")


def test_file_must_be_named_after_its_service(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text(GOOD)
    with pytest.raises(
        CatalogError, match=r"other\.yaml:3:10: service: .*must be called `ai-generation\.yaml`"
    ):
        load_catalog(tmp_path)


def test_catalog_tells_the_problems_of_all_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("service: a\n")
    (tmp_path / "b.yaml").write_text("[")
    with pytest.raises(CatalogError) as caught:
        load_catalog(tmp_path)
    assert {Path(one.file).name for one in caught.value.problems} == {"a.yaml", "b.yaml"}


def test_two_services_may_not_share_a_deployment(tmp_path: Path) -> None:
    (tmp_path / "ai-generation.yaml").write_text(GOOD)
    (tmp_path / "other.yaml").write_text(GOOD.replace("service: ai-generation", "service: other", 1))
    line = next(n for n, text in enumerate(GOOD.splitlines(), 1) if text.startswith("  deployment:"))
    with pytest.raises(
        CatalogError,
        match=rf"other\.yaml:{line}:15: deploy.deployment: .*the same Deployment ai-generation/ai-generation",
    ):
        load_files(sorted(tmp_path.iterdir()))


def test_a_file_that_is_wrong_leaves_the_other_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = catalog_directory() / "ai-generation.yaml"
    (tmp_path / good.name).write_text(good.read_text())
    (tmp_path / "aa.yaml").write_text("service: aa\n")
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path))
    assert [one.service for one in load_sound()] == ["ai-generation"]
