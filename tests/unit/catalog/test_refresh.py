"""The file of the nightly refresh: what it may say, and what is told when it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from slipway.catalog import Refresh, load_refresh
from slipway.catalog.refresh import refresh_file
from slipway.catalog.schema import json_schema
from slipway.cli import main
from slipway.errors import CatalogError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives the file of the refresh in a catalog of its own."""
    (tmp_path / "services").mkdir()
    (tmp_path / "services/ai-generation.yaml").write_text(
        (ROOT / "include/services/ai-generation.yaml").read_text()
    )
    monkeypatch.setenv("SLIPWAY_CATALOG", str(tmp_path / "services"))
    return tmp_path / "refresh.yaml"


def test_the_checkouts_own_file_is_good() -> None:
    assert refresh_file() == ROOT / "include/refresh.yaml"
    assert load_refresh().timezone == "Europe/Berlin"


def test_without_a_file_everything_is_as_by_default(file: Path) -> None:
    assert load_refresh() == Refresh()
    assert Refresh().retention.images == 20


@pytest.mark.parametrize(
    ("text", "place", "what"),
    [
        ("schedule: 61 2 * * *", "1:11: schedule", "is no schedule"),
        ("schedule: '@daily'", "1:11: schedule", "five fields"),
        ("reconcile: often", "1:12: reconcile", "is no schedule"),
        ("timezone: Europe/Berlim", "1:11: timezone", "IANA name"),
        ("timezone: ../etc/passwd", "1:11: timezone", "IANA name"),
        ("retention:\n  images: 0", "2:11: retention.images", "`0` is not at least 1"),
        ("retention:\n  evidence_days: '90'", "2:18: retention.evidence_days", "the text `90` is given"),
        ("retention:\n  imagse: 3", "2:3: retention.imagse", "did you mean `images`?"),
        ("shedule: 0 1 * * *", "1:1: shedule", "did you mean `schedule`?"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(file: Path, text: str, place: str, what: str) -> None:
    file.write_text(text + "\n")
    with pytest.raises(CatalogError) as caught:
        load_refresh()
    (problem,) = caught.value.problems
    assert f"refresh.yaml:{place}:" in str(problem)
    assert what in str(problem)


def test_lint_checks_the_file_with_the_services(file: Path) -> None:
    file.write_text("retention: {images: 3}\n")
    assert CliRunner().invoke(main, ["lint"]).output == "good: ai-generation\n"
    file.write_text("retention: {image: 3}\n")
    told = CliRunner().invoke(main, ["lint", "--json"])
    assert told.exit_code == 2
    assert [one["path"] for one in json.loads(told.output)["problems"]] == ["retention.image"]
    assert CliRunner().invoke(main, ["lint", str(file)]).exit_code == 2


def test_committed_schema_is_up_to_date() -> None:
    committed = (ROOT / "include/refresh.schema.json").read_text()
    assert committed == json_schema(Refresh), "run `slipway schema`"
