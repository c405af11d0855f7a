"""A wait tells what it waits for, once per change; that decides which error it is when the time is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from airflow.sdk import PokeReturnValue

from slipway.adapters.cluster import Cause, Obstacle, Rollout
from slipway.errors import Permanent, PolicyFailed, Transient
from slipway.release import given
from slipway.stages import sensor
from slipway.stages.sensor import StageSensor, Waits, on_rollout

FULL = Obstacle(
    Cause.UNSCHEDULABLE, "Unschedulable: 0/3 nodes", "p", Cause.UNSCHEDULABLE.whose, is_final=False
)


def asking(*answers: PokeReturnValue, **more: Any) -> StageSensor:
    left = list(answers)
    return StageSensor(
        task_id="x",
        python_callable=lambda: left.pop(0) if len(left) > 1 else left[0],
        timeout_s=60,
        poke_interval=0.001,
        changes=False,
        **more,
    )


def no(text: str, **more: Any) -> PokeReturnValue:
    return PokeReturnValue(False, Waits(text, code="health.unready", **more))


def test_what_is_waited_for_is_told_once_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    asked = asking(no("a"), no("a"), no("a"), no("b"))
    for _ in range(6):
        asked.poke({})  # type: ignore[typeddict-item]
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("waiting: ")]
    assert told == ["waiting: a", "waiting: b"]


def test_what_was_lacked_last_decides_whose_fault_it_is() -> None:
    asked = asking(no("a"), no("b", late=Transient))
    for _ in range(2):
        asked.poke({})  # type: ignore[typeddict-item]
    assert asked.waits is not None
    over = asked.waits.over("x", 60)
    assert isinstance(over, Transient)
    assert over.message == "x: not so after 60 s: b"
    assert isinstance(Waits("a", code="health.unready").over("x", 60), PolicyFailed)


def test_obstacle_of_a_rollout_says_whose_it_is() -> None:
    assert isinstance(on_rollout(Rollout(False, str(FULL), obstacle=FULL)).over("x", 1), Permanent)
    assert isinstance(on_rollout(Rollout(False, "1 of 2")).over("x", 1), PolicyFailed)


def test_what_is_given_at_the_end_is_kept_with_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def recorded(_context: Any) -> Iterator[None]:
        yield

    monkeypatch.setattr(sensor, "recorded", recorded)
    found = asking(no("a"), PokeReturnValue(True, given.RolledOut(pods=("p",)))).execute({})  # type: ignore[typeddict-item]
    assert found == {"pods": ["p"], "image_ids": [], "version": 1}
