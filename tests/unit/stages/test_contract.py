"""What nothing needs any more goes once the new version is verified, and only if the plan has any of it."""

from __future__ import annotations

from collections.abc import Callable

from slipway.catalog import Service
from slipway.release import given
from slipway.stages.contract import CONTRACT, NEEDED
from slipway.stages.health import HEALTH
from slipway.stages.sequence import release_of
from slipway.stages.stage import Run


def planned(*phases: str) -> given.Planned:
    changesets = [{"id": str(n), "phase": phase} for n, phase in enumerate(phases)]
    return given.Planned.load({"hash": "h", "changesets": changesets, "changesets_count": len(phases)})


def test_only_what_is_labelled_so_goes(run: Callable[..., Run]) -> None:
    assert NEEDED.run(run(NEEDED, planned("expand", "contract"))) is True
    assert NEEDED.run(run(NEEDED, planned("expand"))) is False


def test_it_goes_once_healthy_and_rolls_nothing_back(
    service: Service, changed: Callable[..., Service]
) -> None:
    assert HEALTH in release_of(service).earlier(CONTRACT)
    assert not CONTRACT.rolls_back(service)
    for other in (changed("deploy", order="before"), changed("deploy", migrations=None)):
        assert not CONTRACT.wanted(other)
        assert not NEEDED.wanted(other)
