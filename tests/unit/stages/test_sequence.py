"""A stage is one file, one test file and one line: nothing else knows it."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from slipway.catalog import Service, load_catalog
from slipway.stages import sequence
from slipway.stages.apply import APPLY
from slipway.stages.deploy import DEPLOY
from slipway.stages.flow import flow
from slipway.stages.report import REPORT
from slipway.stages.rollback import ROLLBACK
from slipway.stages.rollout import ROLLOUT
from slipway.stages.sequence import STAGES, release_of
from slipway.stages.stage import Stage, Step, always

HERE = Path(__file__).parent
MODULES = HERE.parents[2] / "include/slipway/stages"


def test_every_module_of_stages_has_its_test_beside_it() -> None:
    modules = {one.stem for one in MODULES.glob("*.py")} - {"__init__"}
    assert len(modules) > 30
    assert {one for one in modules if not (HERE / f"test_{one}.py").is_file()} == set()


def test_every_stage_that_there_is_is_in_the_sequence() -> None:
    found = {
        value
        for file in MODULES.glob("*.py")
        for value in vars(import_module(f"slipway.stages.{file.stem}")).values()
        if isinstance(value, Stage)
    }
    assert found == set(STAGES)


def test_module_comes_after_those_whose_stages_it_names() -> None:
    for number, name in enumerate(sequence.MODULES):
        text = (MODULES / f"{name}.py").read_text()
        named = re.findall(r"^from slipway\.stages\.(\w+) import .*\b[A-Z]{3,}\b", text, re.M)
        assert {one for one in named if one in sequence.MODULES} <= set(sequence.MODULES[:number]), name


@pytest.mark.parametrize("name", sorted(load_catalog()))
def test_each_service_has_an_order(name: str) -> None:
    found = release_of(load_catalog()[name])
    assert found.stages[-1] is REPORT
    assert {"build.compile", "scan.secrets", "test.unit"} <= set(found.gating)
    assert not any(one in found.gating for one in ("test.database", "scan.removed"))
    assert {"deploy.apply", "deploy.rollout", "verify.health"} <= set(found.rolling_back)


def test_what_holds_the_lane_has_taken_it_and_gives_it_back(service: Service) -> None:
    found = release_of(service)
    for one in found.stages:
        if one.holds_lane:
            assert "lane" in {other.task_id for other in found.earlier(one)}, one.task_id
            [unlane] = [other for other in found.stages if other.task_id == "unlane"]
            assert one in found.earlier(unlane), one.task_id


def test_new_stage_finds_its_place_by_what_it_says_itself(
    service: Service, changed: Callable[..., Service]
) -> None:
    settle: Step[Any, Any] = Step(
        id="settle", title="Settle", group=DEPLOY, after=(APPLY,), before=(ROLLOUT,), rolls_back=always
    )
    for one in (service, changed("deploy", order="after"), changed("deploy", migrations=None)):
        found = flow(one, (*STAGES, settle))
        assert APPLY in found.earlier(settle)
        assert settle in found.earlier(ROLLOUT)
        assert settle in found.earlier(ROLLBACK)
        assert "deploy.settle" in found.rolling_back
