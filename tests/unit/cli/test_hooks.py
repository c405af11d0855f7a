"""`slipway hooks`."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from click.testing import CliRunner

from slipway.adapters import vault
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
