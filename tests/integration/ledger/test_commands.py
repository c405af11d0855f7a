import json

import pytest
from click.testing import CliRunner, Result

from slipway.cli import main
from slipway.cli.trigger import _follow
from slipway.ledger import Ledger
from slipway.release import run_id

A, B = "a" * 40, "ab" * 20


@pytest.fixture(autouse=True)
def recorded(ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LEDGER_URL_FILE", raising=False)
    monkeypatch.setenv("LEDGER_URL", url.replace("+psycopg2", ""))
    monkeypatch.setenv("COLUMNS", "160")
    for commit, status in ((A, "passed"), (B, "failed")):
        run = run_id("svc", commit)
        ledger.begin("svc", "staging", commit, run, "refs/heads/main")
        ledger.update(run, image="10.0.0.1:5000/svc", digest=f"sha256:{'d' * 64}")
        ledger.stage(run, "test.unit", status, 1.25, None if status == "passed" else "1 failed\x1b[2J\nmore")
        ledger.finish(
            run,
            status,
            None if status == "passed" else "1 failed\x1b[2J\nmore",
            None if status == "passed" else "test.unit",
        )


def slipway(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["releases", *arguments])


def test_list_shows_newest_first(ledger: Ledger) -> None:
    result = slipway("list", "svc")
    assert result.exit_code == 0
    heading, newest, oldest = result.output.splitlines()
    assert heading.split()[:2] == ["COMMIT", "STATUS"]
    assert newest.split()[:2] == [B[:12], "failed"]
    assert newest.rstrip().endswith("test.unit: 1 failed�[2J")
    assert oldest.split()[:2] == [A[:12], "passed"]
    assert [one["commit"] for one in json.loads(slipway("list", "svc", "--json", "--limit", "1").output)] == [
        B
    ]
    assert json.loads(slipway("list", "other", "--json").output) == []
    assert "No release of other" in slipway("list", "other").output


def test_show_gives_the_newest_or_that_of_a_prefix(ledger: Ledger) -> None:
    assert json.loads(slipway("show", "svc", "--json").output)["commit"] == B
    shown = json.loads(slipway("show", "svc", "aaa", "--json").output)
    record = ledger.release("svc", A)
    assert record is not None
    assert shown == {**record.show(), "rollback": None}
    text = slipway("show", "svc", "aaa").output
    for word in (A, "staging", f"10.0.0.1:5000/svc@sha256:{'d' * 64}", "test.unit", "1.2"):
        assert word in text


def test_show_of_what_is_not_or_is_several_exits_2() -> None:
    missing, several = slipway("show", "svc", "ffff"), slipway("show", "svc", "a")
    assert (missing.exit_code, several.exit_code) == (2, 2)
    assert "No release of svc at ffff" in missing.output
    assert A in several.output
    assert B in several.output


def test_show_takes_a_repeat_as_the_list_shows_it(ledger: Ledger) -> None:
    again = run_id("svc", A, 1)
    ledger.begin("svc", "staging", A, again, "refs/heads/main")
    assert slipway("list", "svc").output.splitlines()[1].split()[:2] == [f"{A[:12]}.r1", "running"]
    for named in (f"{A[:12]}.r1", again):
        assert json.loads(slipway("show", "svc", named, "--json").output)["run_id"] == again
    assert slipway("show", "svc", f"{A[:12]}.r2").exit_code == 2


class Ended:
    """Airflow, whose runs have all ended."""

    def __init__(self, state: str) -> None:
        self.ended = state

    def state(self, _dag_id: str, _run_id: str) -> str:
        return self.ended


@pytest.mark.parametrize(
    ("status", "airflow", "code"),
    [
        ("passed", "success", 0),
        ("superseded", "success", 0),
        ("failed", "failed", 1),
        ("errored", "failed", 3),
        ("errored", "success", 3),
        (None, "failed", 3),
        (None, "success", 3),
    ],
)
def test_wait_believes_the_ledger_whatever_airflow_says(
    ledger: Ledger, status: str | None, airflow: str, code: int
) -> None:
    run = run_id("svc", "c" * 40)
    if status:
        ledger.begin("svc", "staging", "c" * 40, run, "refs/heads/main")
        by = run_id("svc", A) if status == "superseded" else None
        ledger.finish(run, status, "why", "deploy.lane", superseded_by=by)
    ended, got = _follow(Ended(airflow), "release_svc", run, 1)  # type: ignore[arg-type]
    assert got == code
    assert ended["status"] == (status or airflow)
    assert ended.get("superseded_by") == (run_id("svc", A) if status == "superseded" else None)
