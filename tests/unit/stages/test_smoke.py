"""The smoke test runs in the released image, against the service, and knows which commit must answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from slipway.catalog import Service
from slipway.catalog.service import Health, Smoke
from slipway.stages.image import PUSHED
from slipway.stages.sequence import release_of
from slipway.stages.smoke import SMOKE, spec


def test_it_is_told_where_the_service_is_and_which_commit_it_must_be(service: Service) -> None:
    told, health, smoke = spec(service), service.verify.health, service.verify.smoke
    assert smoke
    assert (told["image"], told["timeout_s"]) == (PUSHED, smoke.timeout_s)
    assert told["environment"]["BASE_URL"] == f"http://{health.service}:{health.port}"
    assert "given('Accepted', 'commit')" in told["environment"]["EXPECTED_COMMIT"]
    assert told["command"][-1] == f"/app/{smoke.path}"


def test_its_pod_is_restricted_and_its_failure_rolls_back(
    service: Service, changed: Callable[..., Service]
) -> None:
    pod = SMOKE.operator(service, release_of(service)).manifest["spec"]  # type: ignore[attr-defined]
    assert pod["securityContext"]["runAsNonRoot"]
    assert SMOKE.rolls_back(service)
    assert not SMOKE.wanted(changed("verify", smoke=None))


def test_command_of_the_catalog_is_run_in_the_services_image(changed: Callable[..., Service]) -> None:
    smoke = Smoke(command=("/app/check", "--fast"))
    told = spec(changed("verify", smoke=smoke, health=Health(service=None)))
    assert (told["image"], told["command"]) == (PUSHED, ["/app/check", "--fast"])
    assert "BASE_URL" not in told["environment"]


@pytest.mark.parametrize("words", [{}, {"path": "smoke.py", "command": ["a"]}], ids=["neither", "both"])
def test_it_is_a_script_or_a_command(words: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="either `path` or `command`"):
        Smoke.model_validate(words)
