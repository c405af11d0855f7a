"""The playbook runs if it, or anything that it gets, is not what the last good release ran."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from slipway.catalog import Service
from slipway.errors import PolicyFailed
from slipway.ledger import Release
from slipway.release import given
from slipway.stages.infrastructure import CHANGED, CHECK, INFRA, Known, decide, packed, variables
from slipway.stages.stage import Run

CONFIGURED = given.Configured(revision="r", infra="sha256:new")


@pytest.fixture
def last(world: Any, a_release: Callable[..., Release]) -> Callable[[str], None]:
    def was(infra: str) -> None:
        world.of_ledger.releases["good"] = a_release(run_id="good", infra_hash=infra)
        world.of_ledger.good_run = "good"

    return was


def test_playbook_that_was_run_counts_for_this_release_too(
    run: Callable[..., Run], world: Any, last: Callable[[str], None]
) -> None:
    last("sha256:new")
    assert CHANGED.run(run(CHANGED, CONFIGURED)) is False
    assert world.did == [("update", {"infra_hash": "sha256:new"})]


def test_playbook_that_changed_or_is_asked_for_runs_and_is_recorded_when_it_has(
    run: Callable[..., Run], world: Any, last: Callable[[str], None]
) -> None:
    last("sha256:old")
    assert CHANGED.run(run(CHANGED, CONFIGURED)) is True
    last("sha256:new")
    assert CHANGED.run(run(CHANGED, CONFIGURED, params={"infra": True})) is True
    assert world.did == []


def test_service_without_playbook_runs_none(run: Callable[..., Run], world: Any) -> None:
    assert CHANGED.run(run(CHANGED, given.Configured(revision="r"), params={"infra": True})) is False
    assert world.did == [("update", {})]


def test_first_release_runs_it() -> None:
    assert decide(None, Known("sha256:new", None, asked=False))  # type: ignore[arg-type]


def test_pods_say_what_they_run_with_which_account(service: Service) -> None:
    for stage, action in ((CHECK, "check"), (INFRA, "run")):
        told = stage.spec(service)
        assert told["command"] == ["slipway-playbook", action, service.config.playbook]
        assert told["account"] == "slipway-infra"
        assert bool(told["secrets"]) is bool(service.config.variables)


def test_variables_are_those_that_the_catalog_names(changed: Callable[..., Service]) -> None:
    named = changed("config", variables=("a", "b"))
    assert json.loads(variables(named, {"a": 1, "b": 2, "c": 3})) == {"a": 1, "b": 2}
    with pytest.raises(PolicyFailed, match="has no key b"):
        variables(named, {"a": 1})


def test_files_are_packed_as_they_are() -> None:
    with tarfile.open(fileobj=io.BytesIO(packed({"b/x": b"1", "a": b"2"}))) as tar:
        assert {one.name: tar.extractfile(one).read() for one in tar} == {"a": b"2", "b/x": b"1"}  # type: ignore[union-attr]
