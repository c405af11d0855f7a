"""What a service answers is told from what the API server says of itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import CoreV1Api
from kubernetes.client.exceptions import ApiException

from slipway.adapters import cluster
from slipway.errors import SlipwayError


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    def make(status: int, body: bytes) -> tuple[int, bytes]:
        def asked(*_: Any, **__: Any) -> Any:
            if 200 <= status < 300:
                return SimpleNamespace(status=status, data=body)
            error = ApiException(status=status)
            error.body = body
            raise error

        monkeypatch.setattr(CoreV1Api, "connect_get_namespaced_service_proxy_with_path", asked)
        return cluster.get(None, "ns", "web", 80, "/x")  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize("status", [200, 204, 301, 401, 403, 404, 418, 500, 503])
def test_any_answer_of_the_service_is_given(answers: Any, status: int) -> None:
    assert answers(status, b"said") == (status, b"said")


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_of_the_api_server_is_none_of_the_services(answers: Any, status: int) -> None:
    with pytest.raises(SlipwayError):
        answers(status, b'{"kind": "Status", "apiVersion": "v1", "reason": "Forbidden"}')
