"""The smoke test runs in the released image, against the service, and knows which commit must answer."""

from __future__ import annotations

from collections.abc import Callable

from slipway.catalog import Service
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
