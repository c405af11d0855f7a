"""Healthy is what holds: pods, readiness and the released commit; what lacks is told, and whose fault it is if it stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from slipway.catalog import Service
from slipway.ledger import Release, Stage
from slipway.release import Outcome, given
from slipway.stages.health import HEALTH
from slipway.stages.sensor import Left, Waits
from slipway.stages.sequence import release_of
from slipway.stages.smoke import SMOKE
from slipway.stages.stage import Run, Well


@pytest.fixture
def asked(
    run: Callable[..., Run], world: Any, service: Service, accepted: given.Accepted, pushed: given.Pushed
) -> Run:
    """Gives a look at a service that is well."""
    health = service.verify.health
    world.of_cluster.answers = {
        health.ready: (200, b""),
        health.version: (200, json.dumps({"commit": accepted.commit}).encode()),
    }
    return run(HEALTH, accepted, pushed)


def test_service_that_is_well_gives_the_pods_that_serve(asked: Run) -> None:
    assert HEALTH.once(asked) == Well(given.Healthy(pods=("p",), image_ids=("i",)), "healthy: 2 pods run it")


def test_service_that_reports_another_commit_waits(asked: Run, world: Any, service: Service) -> None:
    world.of_cluster.answers[service.verify.health.version] = (200, b'{"commit": "other"}')
    found = HEALTH.once(asked)
    assert isinstance(found, Waits)
    assert "with commit other" in found.text


def test_it_must_hold_as_long_as_the_catalog_says_and_holds_the_lane_meanwhile(service: Service) -> None:
    assert HEALTH.soak_s(service) == service.verify.health.soak_s
    assert HEALTH.holds_lane
    assert HEALTH.rolls_back(service)
    flow = release_of(service)
    assert not {SMOKE, HEALTH} & (flow.earlier(HEALTH) | flow.earlier(SMOKE))  # side by side


@pytest.mark.parametrize(
    ("outcome", "state", "is_left"),
    [
        (Outcome.FAILED, "failed", True),
        (Outcome.FAILED, "running", False),  # it was cleared: what is recorded is of the earlier try
        (Outcome.ERRORED, "failed", False),  # no verdict: health may have one
        (Outcome.PASSED, "success", False),
    ],
)
def test_nothing_is_waited_for_once_the_smoke_test_has_failed(
    asked: Run,
    world: Any,
    a_release: Callable[..., Release],
    outcome: Outcome,
    state: str,
    is_left: bool,
) -> None:
    smoke = Stage(SMOKE.task_id, outcome, 1.0, None, world.now())
    world.of_ledger.releases[asked.run_id] = a_release(stages=(smoke,))
    asked.runs.tasks[SMOKE.task_id] = state  # type: ignore[attr-defined]
    assert isinstance(HEALTH.once(asked), Left if is_left else Well)
