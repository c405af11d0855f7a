"""`slipway toolboxes build`: what it is told, and what it refuses before anything is built."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.cli import main
from slipway.cli.toolboxes import account, parted
from slipway.errors import CatalogError


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    return tmp_path


def build(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["toolboxes", "build", *arguments])


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("registry.example.com", ("registry.example.com", "slipway")),
        ("127.0.0.1:5000", ("127.0.0.1:5000", "slipway")),
        ("registry.example.com/platform", ("registry.example.com", "platform")),
        ("registry.example.com:5000/platform/boxes-2/", ("registry.example.com:5000", "platform/boxes-2")),
    ],
)
def test_address_is_a_registry_and_a_prefix(address: str, found: tuple[str, str]) -> None:
    assert parted(address.rstrip("/")) == found


@pytest.mark.parametrize(
    "address", ["https://registry.example.com", "", "a b", "registry/UPPER", "registry//x", "r:port"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    found = build("--registry", address)
    assert found.exit_code == 2
    assert "is no registry's address" in found.output


def test_account_is_the_named_one_or_dockers(home: Path) -> None:
    assert account("registry.example.com", None, None) == ("", "")
    (home / "config.json").write_text(
        json.dumps({"auths": {"registry.example.com": {"auth": "bWU6c2VjcmV0"}}})
    )
    assert account("registry.example.com", None, None) == ("me", "secret")
    (home / "password").write_text("hidden\n")
    assert account("registry.example.com", "you", home / "password") == ("you", "hidden")


@pytest.mark.parametrize(("username", "file"), [("me", None), (None, "password"), ("me", "none")])
def test_half_an_account_is_refused(home: Path, username: str | None, file: str | None) -> None:
    (home / "password").write_text("hidden\n")
    with pytest.raises(CatalogError, match="password"):
        account("registry.example.com", username, home / file if file else None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "toolbox-pyton"], "did you mean `toolbox-python`?"),
        (["--no-push", "--write", "platform.yaml"], "needs images by digest"),
        (["--folder", "/nowhere"], "the toolboxes are not here"),
    ],
)
def test_use_that_makes_no_sense_is_refused_before_anything_is_done(arguments: list[str], said: str) -> None:
    found = build("--registry", "registry.example.com", *arguments)
    assert found.exit_code == 2
    assert said in found.output


def test_registry_is_needed() -> None:
    assert build().exit_code == 2
    assert "--registry" in build("--help").output
