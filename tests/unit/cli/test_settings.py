from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.cli import main
from slipway.cli.releases import plain
from slipway.cli.settings import address, ledger_url
from slipway.errors import CatalogError

VARIABLES = (
    "LEDGER_URL",
    "LEDGER_URL_FILE",
    "SLIPWAY_CREDENTIALS",
    "SLIPWAY_PLATFORM",
    "AIRFLOW_URL",
    "GIT_URL",
)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives the state folder of a sandbox that is not there."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def test_ledger_is_found_by_file_then_variable_then_sandbox(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "credentials").mkdir(parents=True)
    (state / "credentials/ledger-url").write_text("postgresql://sandbox/x\n")
    assert ledger_url() == "postgresql://sandbox/x"
    monkeypatch.setenv("LEDGER_URL", "postgresql://variable/x")
    assert ledger_url() == "postgresql://variable/x"
    (state / "named").write_text("postgresql://file/x\n")
    monkeypatch.setenv("LEDGER_URL_FILE", str(state / "named"))
    assert ledger_url() == "postgresql://file/x"


def test_unknown_ledger_is_told_with_what_to_do() -> None:
    result = CliRunner().invoke(main, ["releases", "list", "svc"])
    assert result.exit_code == 2
    assert "What to do: `eval" in result.output


def test_unreachable_ledger_exits_3(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEDGER_URL", "postgresql://ledger:hunter2@127.0.0.1:1/ledger")
    result = CliRunner().invoke(main, ["releases", "show", "svc"])
    assert result.exit_code == 3
    assert "does not answer" in result.output
    assert "hunter2" not in result.output


def test_addresses_come_from_variables_then_the_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CatalogError, match="SLIPWAY_PLATFORM is not set"):
        address("AIRFLOW_URL")
    monkeypatch.setenv("AIRFLOW_URL", "http://127.0.0.1:8080/")
    assert address("AIRFLOW_URL") == "http://127.0.0.1:8080"


def test_text_of_pushed_code_cannot_command_the_terminal() -> None:
    assert plain("a\x1b[2Jb\r\nc\x07") == "a�[2Jb�\nc�"
