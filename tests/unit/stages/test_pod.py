"""A pod as the DAG declares it."""

from __future__ import annotations

from typing import Any

import pytest

from slipway.catalog import Service
from slipway.stages.image import PUSHED
from slipway.stages.pod import ReleasePod


def pod(service: Service, **more: Any) -> ReleasePod:
    plain: dict[str, Any] = {"image": PUSHED, "command": ["true"], "timeout_s": 120}
    return ReleasePod(task_id="smoke", service=service, **plain | more)


def test_it_owns_what_is_made_for_it_alone(service: Service) -> None:
    assert pod(service).brought == []
    own = pod(service, role="migrator", files=dict)
    assert own.brought == ["config_map", "secret"]
    names = [
        (one.get("secret") or {}).get("secretName") or (one.get("configMap") or {}).get("name")
        for one in own.manifest["spec"]["volumes"]
    ]
    assert [name for name in names if name] == [own.own_name] * 2


def test_image_of_a_toolbox_is_not_the_services(service: Service) -> None:
    assert pod(service).is_service
    assert not pod(service, image="toolbox@sha256:1").is_service


def test_task_that_is_ended_ends_its_pod(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []
    one = pod(service)
    one.on_kill()  # before there is any
    running = type("Running", (), {"on_kill": lambda _self: ended.append("pod")})()
    monkeypatch.setattr(one, "_pod", running)
    one.on_kill()
    assert ended == ["pod"]
