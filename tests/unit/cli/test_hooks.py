"""`slipway hooks`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from slipway.adapters import forges, vault
from slipway.adapters.vault import Version
from slipway.cli import main
from slipway.errors import Permanent


class Kept:
    """What Vault keeps, with its versions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.data: dict[str, str] | None = None
        self.number = 0
        monkeypatch.setattr(import_module("slipway.cli.hooks"), "_vault", lambda: self)
        monkeypatch.setattr(vault, "read_versioned", self.read)
        monkeypatch.setattr(vault, "write", self.write)

    def read(self, _client: Any, path: str) -> tuple[dict[str, str], Version]:
        assert path == "slipway/hooks/links"
        if self.data is None:
            raise Permanent("nothing", code="vault.path-empty")
        return self.data, Version(self.number, "then")

    def write(self, _client: Any, path: str, data: dict[str, str], *, after: int) -> None:
        assert (path, after) == ("slipway/hooks/links", self.number)
        self.data, self.number = data, self.number + 1


def call(*arguments: str) -> Any:
    return CliRunner().invoke(main, ["hooks", *arguments])


def test_rotation_keeps_the_secret_before_until_it_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(monkeypatch)
    first = call("rotate", "links")
    second = call("rotate", "links")
    assert (first.exit_code, second.exit_code) == (0, 0)
    assert kept.data == {"current": second.stdout.strip(), "previous": first.stdout.strip()}
    assert first.stdout != second.stdout
    finished = call("rotate", "links", "--finish")
    assert finished.stdout == ""
    assert kept.data == {"current": second.stdout.strip()}


def test_nothing_is_finished_where_there_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(monkeypatch)
    assert call("rotate", "links", "--finish").exit_code == 3
    assert kept.number == 0


def test_service_that_there_is_not_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(monkeypatch)
    answer = call("rotate", "linkz")
    assert answer.exit_code == 2
    assert "did you mean `links`" in answer.output
    assert kept.number == 0


def test_who_is_not_signed_in_at_vault_is_told_how(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VAULT_ADDR", "VAULT_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    answer = call("rotate", "links")
    assert answer.exit_code == 2
    assert "bao login" in answer.output


def test_hook_is_made_at_the_forge_with_a_secret_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept, made = Kept(monkeypatch), list[tuple[str, ...]]()
    text = (Path(__file__).parents[3] / "include/services/links.yaml").read_text()
    forge = 'repository: https://git.example/acme/links.git, forge: {kind: gitea, url: "https://git.example"}'
    assert "repository: services/links" in text
    (tmp_path / "links.yaml").write_text(text.replace("repository: services/links", forge))
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_FORGE_TOKEN", "t0ken")
    monkeypatch.setenv("GIT_URL", "https://other.example")

    class Hooks:
        def hook(self, url: str, secret: str) -> bool:
            made.append((url, secret))
            return len(made) == 1

    def hooks_of(*asked: str) -> Hooks:
        assert asked == ("gitea", "https://git.example", "acme/links", "t0ken")
        return Hooks()

    monkeypatch.setattr(forges, "hooks", hooks_of)
    first, second = (call("add", "links", "--airflow", "https://airflow.example/") for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output
    assert kept.data
    assert made == [("https://airflow.example/slipway/hooks/links", kept.data["current"])] * 2
    assert "acme/links tells pushes to" in first.output
    assert "has a hook already" in second.output


def test_service_without_a_forge_or_caller_without_a_token_is_told_what_lacks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = Kept(monkeypatch)
    monkeypatch.delenv("SLIPWAY_FORGE_TOKEN", raising=False)
    answer = call("add", "links")
    assert answer.exit_code == 2
    assert "names no forge" in answer.output
    assert kept.number == 0
