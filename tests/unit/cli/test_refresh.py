"""`slipway refresh`: the report as a person sees it, and what is refused before anything is started."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from slipway.cli import main
from slipway.cli.refresh import _lines, _plainly
from slipway.ledger.refreshes import Refreshed

BEGAN = datetime(2026, 1, 1, 3, 30, tzinfo=UTC)
SERVICE = {
    "name": "web",
    "commit": "0123456789abcdef",
    "outcome": "passed",
    "found": ["drifted: Deployment/web"],
    "done": ["re-applied Deployment/web: changed"],
    "reason": "",
    "differences": [
        {
            "title": "Deployment/web",
            "lines": ["-  replicas: 1", "+  replicas: 2"],
            "owners": [".spec.replicas: kubectl"],
        }
    ],
    "seconds": 3.2,
}
RUNNING = Refreshed("night", "staging", None, None, BEGAN, None)
ENDED = Refreshed(
    "night", "staging", "passed", {"status": "passed", "services": [SERVICE], "cleaned": []}, BEGAN, BEGAN
)


def test_report_leads_with_one_line_and_ends_with_the_differences() -> None:
    lines = _lines(ENDED)
    assert lines[0] == "refresh passed: 1 passed; removed 0 things (0 B)"
    assert lines[-4:] == [
        "web:",
        "-  replicas: 1",
        "+  replicas: 2",
        "changed by another: .spec.replicas: kubectl",
    ]


def test_a_refresh_that_runs_says_so() -> None:
    assert _lines(RUNNING) == ["refresh running: night, begun 2026-01-01 03:30:00 UTC"]
    assert (_plainly(RUNNING)["status"], _plainly(RUNNING)["finished_at"]) == ("running", None)
    assert _plainly(ENDED)["services"] == [SERVICE]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("images=5", "is not JSON"),
        ("[5]", "is no JSON object"),
        ('{"image": 5}', "image: Extra inputs are not permitted"),
        ('{"images": 0}', "images: Input should be greater than or equal to 1"),
    ],
)
def test_wrong_retention_is_refused_before_anything_is_started(given: str, told: str) -> None:
    done = CliRunner().invoke(main, ["refresh", "run", "--retention", given])
    assert done.exit_code == 2
    assert told in done.output
