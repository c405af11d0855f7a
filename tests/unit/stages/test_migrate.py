"""Changesets run before the manifests or after, as the catalog says, and only if the plan has any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slipway.catalog import Service
from slipway.release import given
from slipway.stages.apply import APPLY
from slipway.stages.migrate import MIGRATE, NEEDED, SETTLED
from slipway.stages.rollout import ROLLOUT
from slipway.stages.sequence import release_of
from slipway.stages.stage import Run


def planned(*phases: str) -> given.Planned:
    changesets = [{"id": str(n), "phase": phase} for n, phase in enumerate(phases)]
    return given.Planned.load({"hash": "h", "changesets": changesets, "changesets_count": len(phases)})


def test_they_run_only_if_the_plan_has_any_of_the_phase(run: Callable[..., Run]) -> None:
    assert NEEDED.run(run(NEEDED, planned("expand"))) is True
    assert NEEDED.run(run(NEEDED, planned("contract"))) is False
    assert NEEDED.run(run(NEEDED, planned())) is False


def test_before_the_manifests_a_failure_needs_no_rollback(service: Service) -> None:
    order = release_of(service)
    assert {NEEDED, MIGRATE} <= order.earlier(APPLY)
    assert not MIGRATE.rolls_back(service)
    assert SETTLED not in order.stages


def test_after_them_it_does(changed: Callable[..., Service], run: Callable[..., Run], capsys: Any) -> None:
    late = changed("deploy", order="after")
    order = release_of(late)
    assert {APPLY, ROLLOUT} <= order.earlier(MIGRATE)
    assert {NEEDED, MIGRATE} <= order.earlier(SETTLED)
    assert MIGRATE.rolls_back(late)
    SETTLED.run(run(SETTLED, of=late))
    assert "the schema is what the changelog says" in capsys.readouterr().out


def test_service_without_migrations_has_neither(changed: Callable[..., Service]) -> None:
    none = changed("deploy", migrations=None)
    assert not any(one.wanted(none) for one in (NEEDED, MIGRATE, SETTLED))
