"""Healthy is what holds: one answer of a system in motion is no verdict, one that stays is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG
from hypothesis import given, settings
from hypothesis import strategies as st

from slipway.adapters.cluster import Cause, Obstacle, Rollout
from slipway.catalog import catalog_directory, load_service
from slipway.errors import Permanent, PolicyFailed
from slipway.release import given as given_
from slipway.stages import refresh, rollback, verify
from slipway.stages.sensor import StageSensor, Waits, on_rollout

SERVICE = load_service(catalog_directory() / "ai-generation.yaml")
COMMIT, OTHER = "a" * 40, "b" * 40
GOOD = Rollout(True, "2 pods run it", ("p",), ("i",))
FULL = Obstacle(
    Cause.UNSCHEDULABLE, "Unschedulable: 0/3 nodes", "p", Cause.UNSCHEDULABLE.whose, is_final=False
)

Answer = tuple[int, str | None]
ODD: list[Answer] = [(503, None), (502, None), (200, OTHER), (200, None)]


class World:
    """A cluster whose service gives one answer after the other, the last one for ever, a second each."""

    def __init__(self) -> None:
        self.now, self.answers, self.state, self.ready = 0.0, list[Answer](), GOOD, 200

    def rollout(self, *_: Any, **__: Any) -> Rollout:
        return self.state

    def get(self, _api: Any, _namespace: str, _service: str, _port: int, path: str) -> tuple[int, bytes]:
        if path == SERVICE.verify.health.ready:
            return self.ready, b""
        self.now += 1
        status, commit = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return status, json.dumps({"commit": commit}).encode() if commit else b"unavailable"


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    with pytest.MonkeyPatch.context() as patch:
        for stage in (verify, rollback, refresh):
            patch.setattr(stage.cluster, "rollout", made.rollout)
            patch.setattr(stage.cluster, "get", made.get)
        patch.setattr(verify.connections, "cluster", lambda: None)
        images: dict[str, str] = {}
        found: dict[str, dict[str, Any]] = {
            "accept": given_.Accepted(
                service="web", commit=COMMIT, ref="r", images=images, advisories_max_age_days=7
            ).dump(),
            "image.push": given_.Pushed(image="web", digest="sha256:1", tag="t").dump(),
        }
        ti = SimpleNamespace(xcom_pull=lambda task_ids, key: found[task_ids])
        patch.setattr(verify, "get_current_context", lambda: {"ti": ti})
        for stage in (verify, rollback):
            patch.setattr(stage, "time", SimpleNamespace(monotonic=lambda: made.now, sleep=lambda _: None))
        yield made


def sensor() -> StageSensor:
    with DAG("test_verify", schedule=None) as dag:
        verify.verify(SERVICE)
    found = dag.get_task("verify.health")
    assert isinstance(found, StageSensor)
    return found


def well_at(world: World, *answers: Answer) -> float | None:
    """Give when the service was called healthy; None if it was not in a minute."""
    world.now, world.answers, asked = 0.0, list(answers), sensor()
    while world.now < 60:
        if (found := asked.poke({})) and found.is_done:  # type: ignore[union-attr, typeddict-item]
            return world.now
    return None


SOAK_S = SERVICE.verify.health.soak_s


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_answer_starts_the_soak_anew(world: World, odd: Answer) -> None:
    good = (200, COMMIT)
    assert well_at(world, good) == SOAK_S + 1
    assert well_at(world, odd, good) == SOAK_S + 2
    assert well_at(world, good, good, odd, good) == SOAK_S + 4


@settings(max_examples=20)
@given(st.lists(st.sampled_from([*ODD, (200, COMMIT)]), max_size=12))
def test_health_is_what_held_without_a_break(world: World, answers: list[Answer]) -> None:
    good = (200, COMMIT)
    seen = [*answers, *[good] * 20]
    first = next(
        end
        for end in range(SOAK_S + 1, len(seen) + 1)
        if all(one == good for one in seen[end - SOAK_S - 1 : end])
    )
    assert well_at(world, *answers, good) == first


def test_other_commit_that_stays_is_the_services_fault_and_is_told(world: World) -> None:
    world.answers, asked = [(200, OTHER)], sensor()
    assert not asked.poke({}).is_done  # type: ignore[union-attr, typeddict-item]
    assert asked.waits is not None
    error = asked.waits.over("verify.health", 120)
    assert isinstance(error, PolicyFailed)
    assert error.message == (
        f"verify.health: not so after 120 s: /version answers 200 with commit {OTHER}, but {COMMIT} was released"
    )


def test_service_that_is_not_ready_waits_and_is_its_own_fault(world: World) -> None:
    world.ready, asked = 503, sensor()
    try:
        assert not asked.poke({}).is_done  # type: ignore[union-attr, typeddict-item]
    finally:
        world.ready = 200
    assert asked.waits is not None
    assert isinstance(asked.waits.over("it", 1), PolicyFailed)
    assert asked.waits.text.startswith("/readyz answers 503")


def test_pods_that_find_no_room_meanwhile_are_the_platforms_affair(world: World) -> None:
    world.state, asked = Rollout(False, str(FULL), obstacle=FULL), sensor()
    try:
        assert not asked.poke({}).is_done  # type: ignore[union-attr, typeddict-item]
    finally:
        world.state = GOOD
    assert asked.waits is not None
    over = asked.waits.over("verify.health", 120)
    assert isinstance(over, Permanent)
    assert over.message == "verify.health: not so after 120 s: Unschedulable: 0/3 nodes (pod p)"
    assert "clear the task" in over.remedy


def test_what_is_waited_for_is_told_once_per_change(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.answers, asked = [(503, None)] * 3 + [(200, OTHER)], sensor()
    for _ in range(6):
        asked.poke({})  # type: ignore[typeddict-item]
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("waiting: ")]
    assert [line.partition(" with")[0] for line in told] == [
        "waiting: /version answers 503",
        "waiting: /version answers 200",
    ]


def test_rollback_waits_as_long_as_the_catalog_says_and_tells_whose_fault_it_is(world: World) -> None:
    def until(lacks: Callable[[], Waits | None]) -> None:
        rollback._until(lacks, "the rollout", 60)

    world.now, world.answers = 0.0, [(503, None)] * 55 + [(200, COMMIT)]
    until(lambda: verify.reports(None, SERVICE, COMMIT))
    assert world.now == 56
    world.now, world.answers = 0.0, [(200, OTHER)]
    with pytest.raises(PolicyFailed, match=f"not so after 60 s: /version answers 200 with commit {OTHER}"):
        until(lambda: verify.reports(None, SERVICE, COMMIT))

    def full() -> Waits:
        world.now += 1
        return on_rollout(Rollout(False, str(FULL), obstacle=FULL))

    world.now = 0.0
    with pytest.raises(Permanent, match=r"^the rollout: not so after 60 s: Unschedulable"):
        until(full)
