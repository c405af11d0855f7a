"""What gates found is listed from the ledger alone; a waiver that is printed is one that the catalog takes, and that fits."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from importlib import import_module

import pytest
import yaml
from click.testing import CliRunner
from tests.unit.cli.test_releases import FAILED

from slipway.catalog.service import FindingWaiver, Gate
from slipway.cli import main
from slipway.ledger.findings import Baseline
from slipway.release.findings import Finding, How, Severity, Verdict, fits, identified, verdict

listing = import_module("slipway.cli.findings")

FOUND = identified(
    "scan.sast",
    [
        Finding("src/a.py", 3, "sql", "SQL of strings", "pass values", Severity.HIGH, "x"),
        Finding("src/b.py", 1, "shell", "a shell runs it: \x1b[2J", "", Severity.HIGH, "y"),
    ],
)
ENDED = verdict(FOUND, Gate(baseline="a" * 40), {FOUND[1].fingerprint}, date(2026, 11, 26))
NOW = datetime(2026, 11, 26, tzinfo=UTC)


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Verdict]:
    gates = {"scan.sast": ENDED, "build.lint": Verdict("warn", (), ("F401 in a.py (until 2026-12-01)",))}
    gates["scan.dynamic"] = Verdict("off")
    baselines = {"scan.sast": Baseline("a" * 40, frozenset(["f"]), NOW, NOW)}
    monkeypatch.setattr(listing, "_known", lambda _service, _commit: (FAILED, gates, baselines))
    return gates


def run(*arguments: str) -> tuple[int, str]:
    ended = CliRunner().invoke(main, list(arguments))
    return ended.exit_code, ended.output


def test_what_stops_is_listed_with_its_id_and_what_to_do_and_old_ones_are_counted() -> None:
    code, said = run("findings", "web")
    assert code == 0
    assert f"stops  {FOUND[0].fingerprint[:12]} high     src/a.py:3: sql: SQL of strings" in said
    assert "what to do: pass values" in said
    assert "1 that stop, 1 of the baseline" in said
    assert "src/b.py" not in said
    assert "baseline: 1 left of commit aaaaaaaaaaaa" in said
    assert "unused waiver: F401 in a.py" in said
    assert "scan.dynamic: switched off in the catalog, so it did not run" in said
    assert "src/b.py:1: shell" in run("findings", "web", "--all")[1]


def test_words_of_pushed_code_do_not_move_the_terminal() -> None:
    assert "\x1b" not in run("findings", "web", "--all")[1]


def test_json_has_all_of_it() -> None:
    shown = json.loads(run("findings", "web", "--json")[1])
    sast, lint, _dynamic = shown["gates"]
    assert (sast["gate"], sast["policy"], sast["passes"]) == ("scan.sast", "enforce", False)
    assert [one["how"] for one in sast["findings"]] == ["stops", "old"]
    assert sast["findings"][0]["fingerprint"] == FOUND[0].fingerprint
    assert sast["baseline"]["left"] == 1
    assert lint["unused_waivers"] == ["F401 in a.py (until 2026-12-01)"]


def waive(*more: str, id_: str = FOUND[0].fingerprint[:12]) -> tuple[int, str]:
    return run("waive", "ai-generation", id_, "--reason", "the column is a constant: always", *more)


def test_printed_waiver_is_taken_by_the_catalog_and_accepts_the_finding() -> None:
    code, said = waive("--until", "2026-12-31")
    assert code == 0
    assert said.startswith("# ai-generation.yaml: src/a.py:3: sql: SQL of strings\n")
    [written] = yaml.safe_load(said)["scan"]["sast"]["waivers"]
    waiver = FindingWaiver(**written)
    assert fits(waiver, FOUND[0])
    assert (waiver.owner, waiver.until) == ("generation", date(2026, 12, 31))
    [judged] = verdict(FOUND[:1], Gate(waivers=(waiver,)), (), date(2026, 12, 31)).judged
    assert judged.how is How.WAIVED


@pytest.mark.parametrize(
    ("id_", "reason", "says"),
    [
        ("0000", "the column is a constant", "has no finding"),
        (FOUND[0].fingerprint[:3], "the column is a constant", "has no finding"),
        (FOUND[0].fingerprint, "short", "would not take"),
    ],
)
def test_waiver_that_fits_nothing_or_says_nothing_is_refused(id_: str, reason: str, says: str) -> None:
    code, said = run("waive", "ai-generation", id_, "--reason", reason)
    assert code == 2
    assert says in said
