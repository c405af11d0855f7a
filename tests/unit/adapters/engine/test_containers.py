"""Waiting for a container that ends while it is asked, which no engine does on demand."""

from __future__ import annotations

from typing import Any, cast

import docker.errors
import pytest
import requests

from slipway.adapters.engine import wait_until
from slipway.errors import Permanent, PolicyFailed


class Ending:
    """An engine whose container ends between the making of a probe and its start.

    :param status: what the engine answers to the start then.
    """

    def __init__(self, status: int) -> None:
        self.status = status
        self.is_running = True

    def inspect_container(self, name: str) -> dict[str, Any]:
        return {"State": {"Running": self.is_running}}

    def exec_create(self, name: str, command: list[str]) -> dict[str, str]:
        return {"Id": "1a2b"}

    def exec_start(self, probe: str) -> bytes:
        self.is_running = False
        response = requests.Response()
        response.status_code = self.status
        raise docker.errors.APIError("no such exec", response=response, explanation="No such exec instance")

    def logs(self, name: str, **kwargs: Any) -> bytes:
        return b"no data folder\n"


@pytest.mark.parametrize("status", [404, 409])
def test_container_that_ends_while_it_is_probed_has_ended_by_itself(status: int) -> None:
    with pytest.raises(PolicyFailed, match="ended by itself before it was ready: no data folder"):
        wait_until(cast(Any, Ending(status)), "service", ["true"], 1)


def test_engine_that_refuses_a_probe_is_told() -> None:
    with pytest.raises(Permanent, match="No such exec"):
        wait_until(cast(Any, Ending(400)), "service", ["true"], 1)
