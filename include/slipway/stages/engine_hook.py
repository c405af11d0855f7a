"""The provider's hook to the engine, which says why there is no connection. Only tasks that run import it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import docker
from airflow.providers.docker.hooks.docker import DockerHook

from slipway.adapters import engine
from slipway.stages import connections


class EngineHook(DockerHook):
    """Signs in to the registry with the pull account."""

    @cached_property
    def api_client(self) -> Any:
        """Give the client, signed in to the registry.

        :raises Transient: if engine or registry do not answer.
        """
        with engine.explained("signing in to the registry"):
            # the provider's hook tells its log alone why an engine does not answer
            docker.APIClient(base_url=connections.engine_url(), version="auto", timeout=30).close()
            return super().api_client
