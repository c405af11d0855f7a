"""Three gates of the same shape: the toolbox's script of that name, in the bounds that the catalog gives it."""

from __future__ import annotations

import pytest

from slipway.catalog import Service
from slipway.stages.build import ANALYZE, COMPILE, LINT
from slipway.stages.checkout import DEPENDENCIES
from slipway.stages.gate import GATE
from slipway.stages.sequence import release_of
from slipway.stages.stage import Container


@pytest.mark.parametrize("gate", [COMPILE, LINT, ANALYZE], ids=lambda gate: str(gate.id))
def test_gate_runs_the_toolboxs_script_within_its_bound(service: Service, gate: Container) -> None:
    operator = gate.operator(service, release_of(service))
    bound = getattr(service.build, gate.id).timeout_s
    assert operator.command == [  # type: ignore[attr-defined]
        *("timeout", "--kill-after=10", str(int(bound))),
        f"/opt/slipway/bin/{gate.id}",
    ]
    assert operator.network == "none"  # type: ignore[attr-defined]
    assert f"'toolbox-{service.stack}'" in operator.image  # type: ignore[attr-defined]
    assert operator.execution_timeout.total_seconds() == bound + 60  # type: ignore[union-attr]


def test_it_stands_between_dependencies_and_the_gate(service: Service) -> None:
    order = release_of(service)
    for one in (COMPILE, LINT, ANALYZE):
        assert DEPENDENCIES in order.earlier(one)
        assert one in order.earlier(GATE)
        assert one.task_id in order.gating
