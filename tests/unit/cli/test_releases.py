"""How the command shows a release to a person: the one message first, then the facts, then the stages."""

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from slipway.cli.releases import _print, _short, first_line, page
from slipway.ledger import Release, Stage
from slipway.release import Outcome, Status

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
WHY = "test.unit failed: tests/unit/test_a.py:8: assert 1 == 2\n  1 finding in 69 tests\nWhat to do: mend it"
GOOD = Release(
    run_id="web.0123456789ab",
    service="web",
    environment="staging",
    commit="0123456789abcdef0123456789abcdef01234567",
    ref="refs/heads/main",
    status=Status.PASSED,
    attempts=1,
    tree=None,
    image="r/web",
    digest="sha256:1",
    config_revision="c1",
    infra_hash=None,
    schema_revision_before="003",
    schema_revision="003",
    manifests=None,
    superseded_by=None,
    reason=None,
    stage=None,
    requested_at=BEGAN,
    ready_at=None,
    started_at=BEGAN,
    finished_at=BEGAN + timedelta(seconds=49),
    stages=(Stage("test.unit", Outcome.PASSED, 1.0, None, BEGAN),),
)
FAILED = replace(
    GOOD,
    status=Status.FAILED,
    stage="test.unit",
    reason=WHY,
    code="gate.failed",
    attempts=2,
    stages=(Stage("test.unit", Outcome.FAILED, 1.0, WHY, BEGAN),),
)


@pytest.fixture(autouse=True)
def airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_URL", "http://airflow")


def shown(release: Release, capsys: pytest.CaptureFixture[str]) -> list[str]:
    _print(release)
    return [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_schemas_that_the_image_works_with_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert any("from 002 on" in line for line in shown(replace(GOOD, works_from="002"), capsys))
    assert not any("works with" in line for line in shown(GOOD, capsys))


def test_held_commit_says_how_to_let_it_go(capsys: pytest.CaptureFixture[str]) -> None:
    _print(GOOD, BEGAN)
    said = " ".join(capsys.readouterr().out.split())
    assert "nothing deploys it until `slipway holds release web 0123456789ab`" in said
    assert "held" not in " ".join(shown(GOOD, capsys))


def test_failure_leads_with_what_where_why_and_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(FAILED, capsys)
    clear = "clear test.unit with downstream in Airflow, or `slipway release web 0123456789ab --again`"
    assert lines[:8] == [
        "web 0123456789ab failed at test.unit",
        *WHY.splitlines(),
        "How to go on: push a commit that mends it",
        f"How to go on: if the fault was not in the commit (the configuration, the cluster): mend that, then {clear}",
        "In Airflow: http://airflow/dags/release_web/runs/web.0123456789ab/tasks/test.unit",
        "",
    ]
    assert "code         gate.failed" in lines
    assert "run          web.0123456789ab, begun 2 times" in lines
    assert lines[-1] == "test.unit  failed       1.0  test.unit failed: tests/unit/test_a.py:8: assert 1 == 2"


def test_good_release_is_said_in_a_line_before_its_facts(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(GOOD, capsys)
    assert lines[:2] == ["web 0123456789ab passed", ""]
    assert "schema       003" in lines
    assert "How to go on" not in "\n".join(lines)


def test_superseded_release_names_the_newer_one(capsys: pytest.CaptureFixture[str]) -> None:
    by = "web.ba9876543210.r2"
    lines = shown(replace(GOOD, status=Status.SUPERSEDED, stage="deploy.lane", superseded_by=by), capsys)
    assert lines[0] == f"web 0123456789ab superseded by {by} at deploy.lane"
    assert "`slipway releases show web ba9876543210.r2`" in lines[1]
    assert "`slipway release web 0123456789ab --again`" in lines[2]


def test_what_pipes_get_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 500
    assert long in "\n".join(shown(replace(FAILED, reason=long), capsys))


def test_narrow_terminal_cuts_nothing_but_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # the package has a command of the module's name
    monkeypatch.setattr(
        sys.modules[_print.__module__], "_console", lambda: Console(width=60, highlight=False)
    )
    row = shown(
        replace(FAILED, stages=(Stage("test.integration", Outcome.FAILED, 1.0, WHY, BEGAN),)), capsys
    )[-1]
    assert row.startswith("test.integration  failed       1.0  test.unit failed:")
    assert row.endswith("…")
    assert len(row) == 60


def test_first_line_names_the_stage_once() -> None:
    assert first_line(GOOD) == ""
    assert first_line(FAILED) == WHY.splitlines()[0]
    assert first_line(replace(FAILED, reason="no test ran")) == "test.unit: no test ran"
    assert first_line(replace(FAILED, reason=None)) == "test.unit"
    assert first_line(replace(GOOD, superseded_by="web.1.r2")) == "superseded by web.1.r2"


def test_repeats_of_a_commit_are_told_apart() -> None:
    assert _short(GOOD) == "0123456789ab"
    assert _short(replace(GOOD, run_id="web.0123456789ab.r2")) == "0123456789ab.r2"
    assert _short(replace(GOOD, run_id="manual__2026")) == "0123456789ab"


def test_page_is_left_out_where_airflow_is_not_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.delenv("AIRFLOW_URL")
    monkeypatch.delenv("SLIPWAY_PLATFORM", raising=False)
    monkeypatch.setenv("SLIPWAY_STATE", str(tmp_path))
    assert page(GOOD) is None


def test_release_says_which_slipway_made_it_and_which_others_ran_stages_of_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not any("made by" in line for line in shown(GOOD, capsys))
    stages = (replace(GOOD.stages[0], slipway="1"), replace(GOOD.stages[0], name="lane", slipway="2"))
    made = replace(GOOD, slipway="1", catalog="entry", stages=stages)
    [line] = [line for line in shown(made, capsys) if "made by" in line]
    assert line.split("made by")[1].strip() == "Slipway 1, catalog entry entry; stages of it by 2"
