"""What keeps the command from an answer, as programs and as people read it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from slipway.cli import main


def run(*words: str, **environment: str) -> Result:
    return CliRunner().invoke(main, words, env=environment)


@pytest.mark.parametrize(
    "words",
    [("releases", "show", "web"), ("releases", "list", "web"), ("holds", "list"), ("refresh", "show")],
)
def test_an_error_is_told_to_programs_by_its_code_beside_what_they_read(words: tuple[str, ...]) -> None:
    done = run(*words, "--json", LEDGER_URL="mysql://nowhere/x", LEDGER_URL_FILE="")
    assert (done.exit_code, done.stdout) == (3, "")
    assert json.loads(done.stderr) == {
        "code": "ledger.not-postgres",
        "class": "Permanent",
        "message": "The ledger needs Postgres, not mysql.",
        "remedy": "",
        "lines": [],
    }


def test_an_error_is_told_to_people_in_words() -> None:
    done = run("releases", "show", "web", LEDGER_URL="mysql://nowhere/x", LEDGER_URL_FILE="")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr == "Error: The ledger needs Postgres, not mysql.\n"


def test_what_is_asked_for_wrongly_is_told_to_programs_likewise(tmp_path: Path) -> None:
    done = run("release", "no-such-service", "--json", SLIPWAY_CATALOG=str(tmp_path))
    told = json.loads(done.stderr)
    assert (done.exit_code, done.stdout) == (2, "")
    assert (told["code"], told["class"]) == ("catalog.service-unknown", "CatalogError")
