"""What is stale is released again once, and how that ended is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from slipway.catalog import Service
from slipway.errors import Permanent, PolicyFailed
from slipway.ledger import Release
from slipway.release import Status, given
from slipway.stages.again import ended, said, to_start
from slipway.stages.flow import flow
from slipway.stages.refresh import stages_of
from slipway.stages.stage import Run, Stage

ASKED = "web.0123456789ab.r1"


@pytest.fixture
def looked() -> Callable[..., given.Looked]:
    def made(release: str | None = ASKED) -> given.Looked:
        return given.Looked(
            service="ai-generation",
            environment="staging",
            run_id="web.0123456789ab",
            commit="c",
            ref="refs/heads/main",
            requested_at="2026-01-01T00:00:00+00:00",
            release=release,
            images={},
            advisories_max_age_days=7,
        )

    return made


class Ti:
    """A refresh whose look gave this."""

    def __init__(self, found: given.Looked | None) -> None:
        self.found = found

    def xcom_pull(self, task_ids: str, key: str) -> Any:
        assert task_ids == "ai-generation.look"
        return self.found and self.found.dump()


@pytest.fixture
def at(run: Callable[..., Run], service: Service) -> Callable[..., Run]:
    stages = {one.id: one for one in stages_of(service)}

    def made(stage: str, found: given.Looked | None, **runs: Any) -> Run:
        known: dict[str, Any] = {
            "count": lambda _dag, run_ids: 0,
            "is_paused": lambda _dag: False,
            "state": lambda _dag, _run: "success",
        }
        one: Stage = stages[stage]
        order = flow(service, tuple(stages.values()))
        return run(one, flow=order, ti=Ti(found), runs=SimpleNamespace(**{**known, **runs}))

    return made


def test_release_that_was_asked_for_is_started_once(
    at: Callable[..., Run], looked: Callable[..., given.Looked]
) -> None:
    assert to_start(at("release", looked())) == looked()
    assert to_start(at("release", looked(), count=lambda _dag, run_ids: len(run_ids))) is None


def test_nothing_stale_or_nothing_deployed_is_skipped_with_a_word(
    at: Callable[..., Run], looked: Callable[..., given.Looked]
) -> None:
    with pytest.raises(AirflowSkipException, match="nothing is stale"):
        to_start(at("release", looked(None)))
    with pytest.raises(AirflowSkipException, match="nothing is known to be deployed"):
        to_start(at("release", None))


def test_paused_dag_starts_nothing_and_says_so(
    at: Callable[..., Run], looked: Callable[..., given.Looked]
) -> None:
    with pytest.raises(Permanent, match="nothing can be released") as e:
        to_start(at("release", looked(), is_paused=lambda _dag: True))
    assert "then clear this task with downstream" in e.value.remedy


def test_it_is_waited_for_until_airflow_calls_it_ended(
    at: Callable[..., Run], looked: Callable[..., given.Looked], world: Any, a_release: Callable[..., Release]
) -> None:
    assert ended(at("released", looked(), state=lambda _dag, _run: "running")) is None
    with pytest.raises(Permanent, match="ended without a record"):
        ended(at("released", looked()))
    world.of_ledger.releases[ASKED] = a_release(run_id=ASKED, status=Status.PASSED, digest="sha256:1")
    found = ended(at("released", looked()))
    assert found
    assert found.said == (f"released again: {ASKED}, image sha256:1",)


@pytest.fixture
def passed(a_release: Callable[..., Release]) -> Release:
    return a_release(run_id=ASKED, status=Status.PASSED, digest="sha256:1")


def test_release_that_passed_or_was_superseded_is_told(passed: Release) -> None:
    assert said(passed) == "released again: web.0123456789ab.r1, image sha256:1"
    newer = replace(passed, status=Status.SUPERSEDED, superseded_by="web.ffffffffffff")
    assert said(newer) == "web.0123456789ab.r1 was superseded by web.ffffffffffff"


@pytest.mark.parametrize(
    ("status", "error"),
    [(Status.FAILED, PolicyFailed), (Status.ERRORED, Permanent), (Status.RUNNING, Permanent)],
)
def test_release_that_did_not_pass_fails_with_its_stage_and_first_line(
    passed: Release, status: Status, error: type[Exception]
) -> None:
    ended = replace(passed, status=status, stage="test.unit", reason="test.unit failed: x\n  more")
    with pytest.raises(error, match=rf"{status} at test.unit: test.unit failed: x\n"):
        said(ended)


def test_release_that_ended_before_any_stage_is_told_without_one(passed: Release) -> None:
    with pytest.raises(Permanent, match="r1 errored at no stage: see its run in Airflow"):
        said(replace(passed, status=Status.ERRORED))
