"""The protocols that stages work with are what the adapters have: a fake of them is a fake of the real thing."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from slipway.adapters import cluster, engine
from slipway.stages import connections, world

# the engine's own start has more than stages say
WIDER = {"start"}


def functions(protocol: type) -> dict[str, Any]:
    return {name: one for name, one in vars(protocol).items() if inspect.isfunction(one) and name[0] != "_"}


@pytest.mark.parametrize(("protocol", "adapter"), [(world.Cluster, cluster), (world.Engine, engine)])
def test_protocol_is_the_adapter_without_the_client_that_it_takes_first(protocol: type, adapter: Any) -> None:
    for name, said in functions(protocol).items():
        if name in WIDER:
            continue
        real = list(inspect.signature(getattr(adapter, name)).parameters.values())[1:]
        told = list(inspect.signature(said).parameters.values())[1:]
        assert [(one.name, one.kind, one.default) for one in told] == [
            (one.name, one.kind, one.default) for one in real
        ], name


def test_real_world_has_all_that_is_promised() -> None:
    for protocol, real in ((world.World, connections.Outside), (world.Runs, connections.AirflowRuns)):
        assert set(functions(protocol)) <= set(dir(real))
