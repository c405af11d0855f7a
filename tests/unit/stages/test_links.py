"""Buttons lead below the UI's own address, whatever a run is called."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slipway.stages import links
from slipway.stages.sequence import STAGES

KEY: Any = SimpleNamespace(run_id="web/a b", task_id="test.unit")


@pytest.mark.parametrize(
    ("link", "path"),
    [
        (links.ReleaseLink(), "/slipway/runs/web/a%20b"),
        (links.CommitLink(), "/slipway/runs/web/a%20b#commit"),
        (links.ImageLink(), "/slipway/runs/web/a%20b#image"),
        (links.PodsLink(), "/slipway/runs/web/a%20b#pods"),
        (links.ReportsLink(), "/slipway/runs/web/a%20b/reports/test.unit"),
    ],
    ids=lambda one: getattr(one, "name", ""),
)
def test_button_leads_to_its_part_of_the_record(link: Any, path: str) -> None:
    assert link.get_link(None, ti_key=KEY) == path
    assert link in links.ALL or type(link) in {type(one) for one in links.ALL}


def test_every_button_of_a_stage_is_registered_with_the_plugin() -> None:
    known = {type(one) for one in links.ALL}
    assert {link for stage in STAGES for link in stage.links} <= known
